#!/usr/bin/perl
# Changes a copy of QuickJS-ng so that a program of some hundred small functions needs less heap:
#   reduce-engine.pl FOLDER [tools]     FOLDER holds quickjs.c and is changed in place
# With `tools` only what concerns the form of bytecode: the compiler and the engine for tests, which
# have the parser and all that the language brings.
# Each change is a substitution with its reason and its gain on x86_64 (heap of the Secondary's agent
# after its load: docs/size.md). Where the engine's text has moved on, the change is left out and
# named: the heap is larger then, nothing else differs.
use strict;
use warnings;
use FindBin;

my ($folder, $tools) = @ARGV;
die "usage: reduce-engine.pl FOLDER [tools]\n" unless defined $folder;

sub read_text {
    my ($path) = @_;
    open my $in, '<', $path or die "$path: $!\n";
    local $/;
    return <$in>;
}

sub write_text {
    my ($path, $content) = @_;
    open my $out, '>', $path or die "$path: $!\n";
    print $out $content;
    close $out or die "$path: $!\n";
}

my $text = read_text("$folder/quickjs.c");
my $header = read_text("$folder/quickjs.h");

# change(NAME, [PATTERN, REPLACEMENT], …): all of them or none.
sub change {
    my ($name, @edits) = @_;
    my $changed = $text;
    for my $edit (@edits) {
        my ($pattern, $replacement) = @$edit;
        next if $changed =~ s/$pattern/$replacement->()/ge;
        warn "NOT: $pattern\n" if $ENV{REDUCE_DEBUG};
        warn "reduce-engine.pl: this QuickJS-ng is another one, left out: $name\n";
        return;
    }
    $text = $changed;
    return 1;
}

# The same for the programs of an ECU only.
sub reduce { return !defined $tools && change(@_); }

# Blocks of 1 KiB instead of 4 suit heaps of some hundred kilobytes: 60 KB less.
reduce('small arenas', [qr/^#define JS_ARENA_SIZE .*$/m, sub { '#define JS_ARENA_SIZE 1024' }]);

# Stripped bytecode still describes every argument and variable (20 bytes each in the heap, 5 in the
# slot) and names every function and closure variable. At run time only the descriptions of captured
# variables are looked at: 52 KB of heap and a tenth of the slot less.
change(
    'no descriptions of uncaptured variables in stripped bytecode',
    [
        qr/if \(b->vardefs\) \{(?=\s*\/\* X{3}: this field is redundant)/,
        sub { 'if (b->vardefs && (s->allow_debug || b->var_ref_count > 0)) {' }
    ],
    [
        qr/(?<=\n)(\s*)bc_put_atom\(s, (b->func_name|vd->var_name)\);/,
        sub { "$1bc_put_atom(s, s->allow_debug ? $2 : JS_ATOM_NULL);" }
    ],
    [
        qr/bc_put_atom\(s, cv->var_name\);/,
        sub { 'bc_put_atom(s, s->allow_debug || cv->closure_type > JS_CLOSURE_REF ? cv->var_name : JS_ATOM_NULL);' }
    ]
);

# 40 bytes of every function hold what the debugger wants: without the parser they are always empty.
reduce(
    'no debug fields in functions',
    [
        qr/(\n    JSAtom filename;\n    int line_num;\n    int col_num;\n    int source_len;\n    int pc2line_len;\n    uint8_t \*pc2line_buf;\n    char \*source;\n)\} JSFunctionBytecode;/,
        sub {
            "\n#ifndef QJS_DISABLE_PARSER$1#endif\n} JSFunctionBytecode;\n\n"
              . "#ifdef QJS_DISABLE_PARSER\nstatic struct {$1} no_debug;\n#define DEBUG_OF(b) (&no_debug)\n"
              . "#else\n#define DEBUG_OF(b) (b)\n#endif\n"
        }
    ],
    [
        qr/\bb->(filename|line_num|col_num|source_len|pc2line_len|pc2line_buf|source)\b/,
        sub { "DEBUG_OF(b)->$1" }
    ],
    [
        qr/    JS_CGETSET_MAGIC_DEF\("(?:line|column)Number", js_function_proto_int32, NULL,\n\s*offsetof\(JSFunctionBytecode, (?:line|col)_num\)\),\n/,
        sub { '' }
    ],
    [
        qr/(    bc_read_trace\(s, "debug \{\\n"\);\n)/,
        sub {
            "#ifdef QJS_DISABLE_PARSER\n    JS_ThrowSyntaxError(ctx, \"bytecode is not stripped\");\n"
              . "    goto fail;\n#endif\n$1"
        }
    ]
);

# Nobody asks a function for its name or its number of arguments, and an object begins with as many
# properties as it has: 24 KB less.
reduce(
    'functions without own properties',
    [qr/^#define JS_PROP_INITIAL_SIZE .*$/m, sub { '#define JS_PROP_INITIAL_SIZE 0' }],
    [
        qr/p->prop = js_malloc\(ctx, sizeof\(JSProperty\) \* sh->prop_size\);\n    if \(unlikely\(!p->prop\)\) \{/,
        sub {
            'p->prop = sh->prop_size == 0 ? NULL'
              . " : js_malloc(ctx, sizeof(JSProperty) * sh->prop_size);\n"
              . '    if (unlikely(sh->prop_size != 0 && !p->prop)) {'
        }
    ],
    [
        qr/(?<=\n        )p->prop\[0\]\.u\.value = JS_UNDEFINED;(?=\n        break;)/,
        sub { 'if (p->prop != NULL) p->prop[0].u.value = JS_UNDEFINED;' }
    ],
    [
        qr/\n    name_atom = b->func_name;\n    if \(name_atom == JS_ATOM_NULL\)\n        name_atom = JS_ATOM_empty_string;\n    js_function_set_properties\(ctx, func_obj, name_atom,\n\s*b->defined_arg_count\);/,
        sub { "\n    (void)name_atom;" }
    ],
    [
        qr/    JS_DefinePropertyValue\(ctx, ctor, JS_ATOM_length,\n.*?JS_DefineObjectName\(ctx, ctor, class_name, JS_PROP_CONFIGURABLE\) < 0\)\n            goto fail;\n    \}\n/s,
        sub { '' }
    ],
    [
        qr/    name_atom = JS_ATOM_empty_string;\n    if \(name && \*name\) \{\n        name_atom = JS_NewAtom\(ctx, name\);\n[^\n]*\n[^\n]*\n[^\n]*\n        \}\n    \}\n    js_function_set_properties\(ctx, func_obj, name_atom, length\);\n    JS_FreeAtom\(ctx, name_atom\);/,
        sub { '    (void)name_atom;' }
    ]
);

# A shape finds its properties by a table of a quarter of their number: 6 KB less.
reduce(
    'small tables of properties',
    [ qr/#define JS_PROP_INITIAL_HASH_SIZE 4/, sub { '#define JS_PROP_INITIAL_HASH_SIZE 2' } ],
    [ qr/while \(new_hash_size < new_size\)/, sub { 'while (new_hash_size * 4 < new_size)' } ],
    [ qr/while \(\(new_hash_size \/ 2\) >= new_size\)/, sub { 'while (new_hash_size > 2 && new_hash_size >= new_size)' } ]
);

# Room in every string for the engine's own leak hunt: 28 KB less.
my $without_dumps = reduce(
    'no dumps',
    [ qr/#ifndef NDEBUG\n#define ENABLE_DUMPS\n#endif\n/, sub { '' } ]
);

# Room in every object and string for weak references, which nobody can make without WeakMap, WeakSet
# (left out here) and WeakRef (an intrinsic that the host does not add): 27 KB less.
my $without_weak_references = reduce(
    'no weak references',
    [ qr/\n    JSWeakRefRecord \*first_weak_ref;/, sub { '' } ],
    [ qr/\bp->first_weak_ref\b/, sub { 'no_weak_ref' } ],
    [
        qr/\n(?=static void reset_weak_ref\(JSRuntime \*rt, JSWeakRefRecord \*\*first_weak_ref\);)/,
        sub { "\nstatic JSWeakRefRecord *no_weak_ref;\n" }
    ],
    [
        qr/(int JS_AddIntrinsicMapSet\(JSContext \*ctx\)\n\{.*?for\(i = 0; i < )4(?=; i\+\+\))/s,
        sub { "${1}2" }
    ]
);

# Of the typed arrays Uint8Array alone, without its text methods: 15 KB less.
reduce(
    'one kind of typed arrays',
    [
        qr/    obj = JS_NewCConstructor\(ctx, JS_CLASS_SHARED_ARRAY_BUFFER, .*?JS_FreeValue\(ctx, obj\);\n/s,
        sub { '' }
    ],
    [
        qr/for\(i = JS_CLASS_UINT8C_ARRAY; i < JS_CLASS_UINT8C_ARRAY \+ JS_TYPED_ARRAY_COUNT; i\+\+\) \{(?=\n        char buf)/,
        sub { "$&\n        if (i != JS_CLASS_UINT8_ARRAY) continue;" }
    ],
    [
        qr/\n    \/\* Uint8Array base64\/hex methods \*\/\n.*?#endif\n(?=    return 0;\n\})/s,
        sub { "\n" }
    ]
);

# The instructions of a function are run where JS_ReadObject was given them, not from a copy in the
# heap: the caller leaves its buffer, which must be writable, as it is for ever. 69 KB less.
reduce(
    'instructions in place',
    [
        qr/    byte_code_offset = function_size;\n    function_size \+= bc\.byte_code_len;\n(?=\n    b = js_mallocz)/,
        sub { "    byte_code_offset = 0;\n" }
    ],
    [
        qr/    bc_buf = \(uint8_t\*\)b \+ byte_code_offset;\n    if \(bc_get_buf\(s, bc_buf, bc_len\)\)\n        return -1;\n/,
        sub {
            "    if (s->buf_end - s->ptr < bc_len) return bc_read_error_end(s);\n"
              . "    bc_buf = (uint8_t *)s->ptr;\n    s->ptr += bc_len;\n"
        }
    ]
);

# A function keeps where its constants and variables lie, which can be computed, and its realm, which is
# the only one; of its captured variables, what only the parser asks for. 56 bytes of every function.
# Dumps would print what is gone.
$without_dumps and reduce(
    'short function records',
    [
        qr/    JSVarDef \*vardefs; [^\n]*\n    JSClosureVar \*closure_var; [^\n]*\n(?=    uint16_t arg_count;)/,
        sub { '' }
    ],
    [ qr/    JSContext \*realm; [^\n]*\n    JSValue \*cpool; [^\n]*\n/, sub { '' } ],
    [
        qr/\} JSFunctionBytecode;\n/,
        sub {
            "$&\nstatic JSContext *only_context;\n"
              . "#define CONSTANTS_OF(b) ((JSValue *)((uint8_t *)(b) + ((sizeof(JSFunctionBytecode) + 7) & ~7)))\n"
              . "#define CLOSURES_OF(b) ((JSClosureVar *)(CONSTANTS_OF(b) + (b)->cpool_count))\n"
              . "#define VARIABLES_OF(b) ((b)->var_ref_count == 0 ? NULL"
              . " : (JSVarDef *)(CLOSURES_OF(b) + (b)->closure_var_count))\n"
        }
    ],
    [
        qr/    if \(local_count != 0\) \{\n        b->vardefs = .*?\n    \}\n    if \(b->closure_var_count != 0\) \{\n        b->closure_var = .*?\n    \}\n    if \(b->cpool_count != 0\) \{\n        b->cpool = .*?\n    \}\n/s,
        sub { '' }
    ],
    [
        qr/    function_size = sizeof\(\*b\);\n(?=    cpool_offset = \(function_size)/,
        sub {
            "    if (local_count != (bc.var_ref_count == 0 ? 0 : bc.arg_count + bc.var_count)) {\n"
              . "        JS_ThrowSyntaxError(ctx, \"bytecode is not stripped\");\n        goto fail;\n    }\n$&"
        }
    ],
    [ qr/sizeof\(\*bc\.vardefs\)/,     sub { 'sizeof(JSVarDef)' } ],
    [ qr/sizeof\(\*bc\.closure_var\)/, sub { 'sizeof(JSClosureVar)' } ],
    [ qr/sizeof\(\*bc\.cpool\)/,       sub { 'sizeof(JSValue)' } ],
    [ qr/\n +if \(b->realm\)\n +(?:mark_func\(rt, &b->realm->header\)|JS_FreeContext\(b->realm\));/, sub { '' } ],
    [ qr/\bb->realm = JS_DupContext\(ctx\);/, sub { 'only_context = ctx;' } ],
    [ qr/\bb->realm\b/,       sub { 'only_context' } ],
    [ qr/\bb->vardefs\b/,     sub { 'VARIABLES_OF(b)' } ],
    [ qr/\bb->closure_var\b/, sub { 'CLOSURES_OF(b)' } ],
    [ qr/\bb->cpool\b/,       sub { 'CONSTANTS_OF(b)' } ],
    [
        qr/(\ntypedef struct JSVarDef \{\n.*?)(    \/\* index into fd->scopes .*?\n    int scope_next;\n)(.*?)(    \/\* only used during compilation: function pool index .*?)(?=\} JSVarDef;)/s,
        sub { "$1#ifndef QJS_DISABLE_PARSER\n$2#endif\n$3#ifndef QJS_DISABLE_PARSER\n$4#endif\n" }
    ],
    [
        qr/bc_get_leb128_int\(s, &vd->scope_(?:level|next)\)/,
        sub { 'bc_get_leb128_int(s, &local_count)' }
    ],
    [ qr/bc_put_leb128\(s, vd->scope_[^;]*\);/, sub { 'bc_put_leb128(s, 0);' } ],
    [ qr/            vd->scope_next--;\n(?=            if \(bc_get_u8)/, sub { '' } ],
    [
        qr/for\(i = 0; i < local_count; i\+\+\) \{(?=\n            JSVarDef \*vd = )/,
        sub { 'for(i = 0; i < b->arg_count + b->var_count; i++) {' }
    ]
);

# Tables grow by an eighth, not by half, and a table of properties by what it needs while it is small.
reduce(
    'little room in advance',
    [ qr/max_int\(711, rt->atom_size \* 3 \/ 2\)/,       sub { 'max_int(512, rt->atom_size + 64)' } ],
    [ qr/max_int\(count, sh->prop_size \* 3 \/ 2\)/,     sub { 'max_int(count, sh->prop_size * 9 / 8)' } ],
    [ qr/max_int\(req_size, \*psize \* 3 \/ 2\)/,        sub { 'max_int(req_size, *psize * 9 / 8)' } ],
    [ qr/max_int\(class_id \+ 1, rt->class_count \* 3 \/ 2\)/, sub { 'class_id + 1' } ]
);

# Cycles are collected when a sixteenth has come to the heap, not half, and as often as it takes where the
# limit is near: a program runs within a limit of little more than what it uses.
reduce(
    'garbage collected sooner',
    [
        qr/rt->malloc_gc_threshold = rt->malloc_state\.malloc_size \+\s*\(rt->malloc_state\.malloc_size >> 1\);/,
        sub {
            "size_t room = rt->malloc_state.malloc_limit - 1 - rt->malloc_state.malloc_size;\n"
              . "        size_t step = rt->malloc_state.malloc_size >> 4;\n"
              . "        rt->malloc_gc_threshold = rt->malloc_state.malloc_size"
              . " + (step < room / 2 ? step : room / 2 + 256);"
        }
    ],
    [
        qr/(\nstatic JSValue js_array_buffer_constructor3\(JSContext \*ctx,[^;{]*\{\n    JSRuntime \*rt = ctx->rt;\n(?:    [^\n]*;\n)+)/,
        sub { "$1    js_trigger_gc(rt, len < INT32_MAX ? len : 0);\n" }
    ]
);

# Where the host compiles with JS_NAN_BOXING on a machine of 64 bits, a value takes 8 bytes, not 16, as on
# one of 32 bits: the heap, the programs and their constants lie below 4 GiB (engine/heap.c, runtime.mk).
# 75 KB less at the peak.
unless ($header =~ s/#define JS_VALUE_GET_PTR\(v\) \(void \*\)\(intptr_t\)\(v\)/#define JS_VALUE_GET_PTR(v) (void *)(uintptr_t)(uint32_t)(v)/) {
    warn "reduce-engine.pl: this QuickJS-ng is another one, left out: values of 8 bytes\n";
    $header =~ s/(?=#ifndef JS_NAN_BOXING\n)/#undef JS_NAN_BOXING\n/;
}
reduce(
    'properties of 8 bytes',
    [
        qr/            JSObject \*getter; [^\n]*\n            JSObject \*setter; [^\n]*\n/,
        sub { "            uint32_t getter; /* address, 0 if undefined */\n            uint32_t setter;\n" }
    ],
    [ qr/uintptr_t (realm_and_id;.*?)void \*opaque;/s, sub { "uint32_t ${1}uint32_t opaque;" } ],
    [
        qr/(\w+(?:\[\d\])?(?:->|\.)u\.getset\.[gs]etter) =(?!=)\s*([^;]+);/,
        sub { "SET_ADDRESS($1, $2);" }
    ],
    [
        qr/(?<!SET_ADDRESS\()\b(\w+(?:->|\.)u\.getset\.[gs]etter)\b/,
        sub { "((JSObject *)(uintptr_t)$1)" }
    ],
    [ qr/pr->u\.init\.opaque = opaque;/,      sub { 'SET_ADDRESS(pr->u.init.opaque, opaque);' } ],
    [ qr/(?<=, )pr->u\.init\.opaque(?=\))/,   sub { '(void *)(uintptr_t)pr->u.init.opaque' } ],
    [ qr/\} JSProperty;\n/, sub { "$&\n#define SET_ADDRESS(place, object) ((place) = (uint32_t)(uintptr_t)(object))\n" } ],
    [
        qr/(    JSValue \*pvalue; \/\* pointer to the value, either on the stack or.*?)(            uint16_t var_ref_idx; [^\n]*\n)/s,
        sub { "#if INTPTR_MAX >= INT64_MAX\n$2#endif\n$1#if INTPTR_MAX < INT64_MAX\n$2#endif\n" }
    ]
);

require "$FindBin::Bin/on-demand.pl";
# 32 bytes have no room for a weak reference.
require "$FindBin::Bin/short-addresses.pl" if $without_weak_references;

# The engine is compiled for size (runtime.mk), which saves 200 KB; its interpreter is not.
reduce(
    'fast interpreter',
    [
        qr/\nstatic JSValue JS_CallInternal\(JSContext \*caller_ctx/,
        sub {
            "\n#if defined(__GNUC__) && !defined(__clang__)\n__attribute__((optimize(\"O2\")))\n#endif$&"
        }
    ]
);

# The length of a Uint8Array is a getter two prototypes away, looked for as a number first. Asked once for
# each byte that a loop looks at.
reduce(
    'length of byte arrays at once',
    [
        qr/(CASE\(OP_get_length\):.*?p = JS_VALUE_GET_OBJ\(obj\);\n\s+)for\(;;\) \{/s,
        sub {
            "$1if (p->class_id == JS_CLASS_UINT8_ARRAY && !typed_array_is_oob(p)) {\n"
              . "                        val = js_uint32(p->u.array.count);\n"
              . "                    } else for(;;) {"
        }
    ]
);

# The host tells how much of its heap a program has needed at most: that is what limits are set by.
change(
    'peak of the heap',
    [
        qr/\n    s->malloc_size \+= js_arena_usable_size\(rt, ptr\)[^;]*;/,
        sub { "$&\n    if (s->malloc_size > js_heap_peak_bytes) js_heap_peak_bytes = s->malloc_size;" }
    ]
);
$text =~ s/\n(?=void \*js_calloc_rt\()/\nsize_t js_heap_peak_bytes;\n\n/
  or die "reduce-engine.pl: no place for js_heap_peak_bytes\n";

write_text("$folder/quickjs.c", $text);
write_text("$folder/quickjs.h", $header);
