# A part of reduce-engine.pl, which runs it: everything that an object points to lies below 4 GiB (the heap:
# engine/heap.c; the agent's program: engine/storage.c; the host itself, which is linked at fixed addresses),
# so that an object of 64 bytes needs 32, as on a machine of 32 bits. 55 KB less on one of 64.
use strict;
use warnings;
use FindBin;

# Kinds of elements of an array, by the names under which the engine has their address.
my %elements = (
    values => 'JSValue', var_refs => 'JSVarRef *', ptr => 'void',
    int8_ptr => 'int8_t', uint8_ptr => 'uint8_t', int16_ptr => 'int16_t', uint16_ptr => 'uint16_t',
    int32_ptr => 'int32_t', uint32_ptr => 'uint32_t', int64_ptr => 'int64_t', uint64_ptr => 'uint64_t',
    fp16_ptr => 'uint16_t', float_ptr => 'float', double_ptr => 'double'
);
my $object = qr/\b([a-z]\w*)/;

sub moved {
    my ($call, $before, $after) = @_;
    return "({ JSShape *moved = SHAPE_OF(p); int failed = $call(ctx, &moved, $after);"
      . " SET_ADDRESS(p->shape, moved); failed; })";
}

read_text("$ARGV[0]/list.h") =~ /struct list_head \{\n    struct list_head \*prev;\n    struct list_head \*next;\n\};/
  and reduce(
    'addresses of 4 bytes',
    [
        qr/    JSShape \*shape; ([^\n]*)\n    JSProperty \*prop; ([^\n]*)\n/,
        sub { "    uint32_t shape; $1\n    uint32_t prop; $2\n" }
    ],
    [
        qr/            const uint8_t \*code;([^\n]*)\n            JSVarRef \*\*var_refs;\n            JSObject \*home_object;/,
        sub { "            uint32_t code;$1\n            uint32_t var_refs;\n            uint32_t home_object;" }
    ],
    [
        qr/            JSContext \*realm;\n            JSCFunctionType c_function;\n/,
        sub { "            uint32_t realm;\n            uint32_t c_function;\n" }
    ],
    [
        qr/struct JSTypedArray \*typed_array; (\/\* JS_CLASS_UINT8C_ARRAY\.\.JS_CLASS_(?:FLOAT64_ARRAY|DATAVIEW) \*\/)/,
        sub { "uint32_t typed_array; $1" }
    ],
    [
        qr/            union \{\n                JSValue \*values;.*?\n            \} u;\n/s,
        sub { "            uint32_t address;\n" }
    ],
    [ qr/        JSRegExp regexp;/, sub { '        JSRegExp *regexp;' } ],
    [
        qr/(JSValue object_data;[^\n]*\n    \}) u;\n[^\n]*\n\};\n/,
        sub {
            "$1 __attribute__((packed, aligned(4))) u;\n};\n\n"
              . "_Static_assert(sizeof(JSObject) == 32, \"an object has 32 bytes\");\n"
              . "#define AT_ADDRESS(type, address) ((type *)(uintptr_t)(address))\n"
              . "#define SHAPE_OF(p) AT_ADDRESS(JSShape, (p)->shape)\n"
              . "#define CODE_OF(p) AT_ADDRESS(const uint8_t, (p)->u.func.code)\n"
        }
    ],
    # The object's shape and properties.
    [ qr/\b(add_shape_property|resize_properties)\(ctx, (&p->shape), ([^()]*)\)/, sub { moved($1, $2, $3) } ],
    [ qr/${object}->shape = ([^;]+);/,   sub { "SET_ADDRESS($1->shape, $2);" } ],
    [ qr/(?<!SET_ADDRESS\()${object}->shape\b/, sub { "SHAPE_OF($1)" } ],
    [ qr/${object}->prop = ([^;]+);/,    sub { "SET_ADDRESS($1->prop, $2);" } ],
    [ qr/(?<!SET_ADDRESS\()${object}->prop\b/,  sub { "AT_ADDRESS(JSProperty, $1->prop)" } ],
    # Functions.
    [ qr/${object}->u\.func\.(code|var_refs|home_object) = ([^;]+);/, sub { "SET_ADDRESS($1->u.func.$2, $3);" } ],
    [ qr/(?<!SET_ADDRESS\()${object}->u\.func\.code\b/,        sub { "CODE_OF($1)" } ],
    [ qr/(?<!SET_ADDRESS\()${object}->u\.func\.var_refs\b/,    sub { "AT_ADDRESS(JSVarRef *, $1->u.func.var_refs)" } ],
    [ qr/(?<!SET_ADDRESS\()${object}->u\.func\.home_object\b/, sub { "AT_ADDRESS(JSObject, $1->u.func.home_object)" } ],
    [ qr/${object}->u\.cfunc\.realm = ([^;]+);/, sub { "SET_ADDRESS($1->u.cfunc.realm, $2);" } ],
    [ qr/(?<!SET_ADDRESS\()${object}->u\.cfunc\.realm\b/, sub { "AT_ADDRESS(JSContext, $1->u.cfunc.realm)" } ],
    [
        qr/${object}->u\.cfunc\.c_function\.generic = ([^;]+);/,
        sub { "SET_ADDRESS($1->u.cfunc.c_function, $2);" }
    ],
    [
        qr/${object}->u\.cfunc\.c_function\.generic\b/,
        sub { "((JSCFunction *)(uintptr_t)$1->u.cfunc.c_function)" }
    ],
    [
        qr/\bfunc = ${object}->u\.cfunc\.c_function;/,
        sub { "func.generic = (JSCFunction *)(uintptr_t)$1->u.cfunc.c_function;" }
    ],
    # Arrays.
    [
        qr/${object}->u\.array\.u\.(?:values|ptr|var_refs) = ([^;]+);/,
        sub { "SET_ADDRESS($1->u.array.address, $2);" }
    ],
    [ qr/${object}->u\.array\.u\.(\w+)/, sub { "AT_ADDRESS($elements{$2}, $1->u.array.address)" } ],
    [ qr/${object}->u\.typed_array = ([^;]+);/, sub { "SET_ADDRESS($1->u.typed_array, $2);" } ],
    [
        qr/(?<!SET_ADDRESS\()${object}->u\.typed_array\b/,
        sub { "AT_ADDRESS(JSTypedArray, $1->u.typed_array)" }
    ],
    # Nobody makes a regular expression: the host does not add the intrinsic.
    [
        qr/        p->u\.regexp\.pattern = NULL;\n        p->u\.regexp\.bytecode = NULL;\n/,
        sub { "        p->u.regexp = NULL;\n" }
    ],
    [ qr/\bp->u\.regexp\./, sub { 'p->u.regexp->' } ],
    [ qr/&p->u\.regexp\b/,  sub { 'p->u.regexp' } ],
    [ qr/JS_WriteRegExp\(s, p->u\.regexp\)/, sub { 'JS_WriteRegExp(s, *p->u.regexp)' } ],
    [
        qr/(static JSValue js_regexp_constructor_internal\([^{]*\{\n.*?)(?=    \/\* sanity check \*\/)/s,
        sub {
            "$1    if (ctx != NULL) {\n        JS_ThrowTypeError(ctx, \"regular expressions are not supported\");\n"
              . "        goto fail;\n    }\n"
        }
    ],
    # Lists.
    [ qr/(?<=static struct list_head js_atomics_waiter_list) =\n\s+LIST_HEAD_INIT\(js_atomics_waiter_list\);/, sub { ';' } ],
    [ qr/(ta->link\.(?:prev|next)) = NULL;/, sub { "$1 = 0;" } ],
    [ qr/\bel = ((?:head|el)->next|(?:s->records|mr->link|rt->\w+_list)\.next);/, sub { "el = LIST_AT($1);" } ],
    [ qr/list_entry\((\w+->\w+\.next),/, sub { "list_entry(LIST_AT($1)," } ]
)
  && write_text("$ARGV[0]/list.h", read_text("$FindBin::Bin/short-list.h"));

1;
