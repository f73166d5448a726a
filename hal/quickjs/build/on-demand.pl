# A part of reduce-engine.pl, which runs it.
use strict;
use warnings;
use FindBin;

# Of the 850 records of functions those are in the heap that run, and some that ran last; the others are
# read again from the program when they are called (function-records.c). 65 KB less.
reduce(
    'function records on demand',
    [ qr/^#define BC_VERSION 28$/m, sub { $& } ],
    [
        qr/(?<=typedef struct JSFunctionBytecode \{\n)    JSGCObjectHeader header;[^\n]*\n/,
        sub {
            "    struct JSFunctionBytecode *next;\n    const uint8_t *code; /* from which it was read */\n"
              . "    bool is_running; /* while records are dropped */\n"
        }
    ],
    [ qr/(#define CLOSURES_OF\(b\)) [^\n]*\n/, sub { "$1 ((JSClosureVar *)NULL)\n" } ],
    [
        qr/(#define VARIABLES_OF\(b\) [^\n]*)\(CLOSURES_OF\(b\) \+ \(b\)->closure_var_count\)/,
        sub { "$1(CONSTANTS_OF(b) + (b)->cpool_count)" }
    ],
    [
        qr/struct JSFunctionBytecode \*function_bytecode;/,
        sub { 'const uint8_t *code; /* in the program */' }
    ],
    [
        qr/\nstatic void free_function_bytecode\(JSRuntime \*rt, JSFunctionBytecode \*b\);\n/,
        sub {
            "$&static const uint8_t *program_code;\n"
              . "enum { CODE_PROTOTYPE = 1, CODE_DERIVED_CONSTRUCTOR = 1 << 2, CODE_HOME_OBJECT = 1 << 3 };\n"
              . "static unsigned code_flags(const uint8_t *code);\n"
              . "static uint32_t closure_count(const uint8_t *code);\n"
              . "static JSFunctionBytecode *record_of(const JSObject *p);\n"
              . "static void drop_records(JSRuntime *rt);\n"
              . "static JSValue js_closure2(JSContext *ctx, JSValue func_obj, const uint8_t *code,\n"
              . "                           JSVarRef **cur_var_refs, JSStackFrame *sf);\n"
        }
    ],
    [
        qr/(js_method_set_home_object\(JSContext.*?)    b = p->u\.func\.function_bytecode;\n    if \(b->need_home_object\)/s,
        sub { "$1    if (code_flags(p->u.func.code) & CODE_HOME_OBJECT)" }
    ],
    [
        qr/    b = p->u\.func\.function_bytecode;\n    if \(b\) \{\n(        var_refs = p->u\.func\.var_refs;.*?)b->closure_var_count(.*?)        JS_FreeValueRT\(rt, JS_MKPTR\(JS_TAG_FUNCTION_BYTECODE, b\)\);\n/s,
        sub { "    if (p->u.func.code) {\n$1(int)closure_count(p->u.func.code)$2" }
    ],
    [
        qr/    JSFunctionBytecode \*b = p->u\.func\.function_bytecode;\n(    int i;\n\n    if \(p->u\.func\.home_object\).*?)if \(b\) \{(.*?)b->closure_var_count(.*?)        \/\* must mark the function bytecode [^;]*;\n/s,
        sub { "$1if (p->u.func.code) {\n        int count = var_refs ? closure_count(p->u.func.code) : 0;$2count$3" }
    ],
    [ qr/name = p->u\.func\.function_bytecode->func_name;/, sub { 'name = JS_ATOM_NULL;' } ],
    [ qr/atom = CLOSURES_OF\(b\)\[idx\]\.var_name;/, sub { 'atom = JS_ATOM_NULL;' } ],
    [ qr/static JSValue js_closure2\(JSContext \*ctx, JSValue func_obj,\n\s+JSFunctionBytecode \*b,\n.*?\n\}\n/s, sub { '' } ],
    [
        qr/static JSValue js_closure\(JSContext \*ctx, JSValue bfunc,/,
        sub { 'static JSValue js_closure(JSContext *ctx, const uint8_t *code,' }
    ],
    [
        qr/    b = JS_VALUE_GET_PTR\(bfunc\);\n    func_obj = JS_NewObjectClass\(ctx, func_kind_to_class_id\[b->func_kind\]\);\n    if \(JS_IsException\(func_obj\)\) \{\n        JS_FreeValue\(ctx, bfunc\);/,
        sub {
            "    unsigned flags = code_flags(code), func_kind = flags >> 4 & 3;\n"
              . "    func_obj = JS_NewObjectClass(ctx, func_kind_to_class_id[func_kind]);\n"
              . '    if (JS_IsException(func_obj)) {'
        }
    ],
    [ qr/func_obj = js_closure2\(ctx, func_obj, b, /, sub { 'func_obj = js_closure2(ctx, func_obj, code, ' } ],
    [
        qr/(    if \()b->(func_kind & JS_FUNC_GENERATOR\) \{\n        JSValue proto;.*?)b->(func_kind == .*?)b->has_prototype/s,
        sub { "$1$2$3flags & CODE_PROTOTYPE" }
    ],
    [
        qr/    b = JS_VALUE_GET_PTR\(bfunc\);\n    assert\(b->func_kind == JS_FUNC_NORMAL\);\n/,
        sub {
            "    JSObject *running = JS_VALUE_GET_OBJ(sf->cur_func);\n"
              . "    const uint8_t *code = running->u.func.code + JS_VALUE_GET_INT(bfunc);\n"
        }
    ],
    [ qr/ctor = js_closure2\(ctx, ctor, b, /, sub { 'ctor = js_closure2(ctx, ctor, code, ' } ],
    [
        qr/(            b = )p->u\.func\.function_bytecode(;\n            ctx = only_context;)/,
        sub { "$1record_of(p);\n            if (unlikely(b == NULL)) return JS_EXCEPTION$2" }
    ],
    [
        qr/(    b = )p->u\.func\.function_bytecode(;\n\n    if \(unlikely\(argc < b->arg_count)/,
        sub { "$1record_of(p);\n    if (unlikely(b == NULL)) return JS_EXCEPTION$2" }
    ],
    [
        qr/js_closure\(ctx, js_dup\(CONSTANTS_OF\(b\)\[\*pc\+\+\]\), /,
        sub { 'js_closure(ctx, b->code + JS_VALUE_GET_INT(CONSTANTS_OF(b)[*pc++]), ' }
    ],
    [
        qr/JSValue bfunc = js_dup\(CONSTANTS_OF\(b\)\[get_u32\(pc\)\]\);(\s+pc \+= 4;\s+\*sp\+\+ = js_closure\(ctx, )bfunc/,
        sub { "const uint8_t *code = b->code + JS_VALUE_GET_INT(CONSTANTS_OF(b)[get_u32(pc)]);$1code" }
    ],
    [
        qr/            JSFunctionBytecode \*b;\n            b = p->u\.func\.function_bytecode;\n(?=            realm = )/,
        sub { '' }
    ],
    [
        qr/    b = p->u\.func\.function_bytecode;\n    if \(b->is_derived_class_constructor\)/,
        sub { '    if (code_flags(p->u.func.code) & CODE_DERIVED_CONSTRUCTOR)' }
    ],
    [
        qr/(    b = )p->u\.func\.function_bytecode(;\n    sf->is_strict_mode = b->is_strict_mode;\n    sf->is_constructor = false;)/,
        sub { "$1record_of(p);\n    if (b == NULL) return -1$2" }
    ],
    [
        qr/    p->u\.func\.function_bytecode = b;\n    JS_REF_COUNT\(b\)\+\+;\n/,
        sub { "    abort(); /* no module is read */\n" }
    ],
    [ qr/\bp->u\.func\.function_bytecode\b/, sub { 'record_of(p)' } ],
    [ qr/(void JS_RunGC\(JSRuntime \*rt\)\n\{\n)/, sub { "$1    drop_records(rt);\n" } ],
    [
        qr/if \(tag == JS_TAG_FUNCTION_BYTECODE\) \{\n        fun_obj = js_closure\(ctx, fun_obj, /,
        sub { "if (tag == JS_TAG_INT) {\n        fun_obj = js_closure(ctx, program_code, " }
    ],
    [
        qr/    remove_gc_object\(&b->header\);\n    if \(rt->gc_phase == JS_GC_PHASE_REMOVE_CYCLES && JS_REF_COUNT\(b\) != 0\) \{\n[^\n]*\n    \} else \{\n        js_free_rt\(rt, b\);\n    \}\n/,
        sub { "    js_free_rt(rt, b);\n" }
    ],
    [
        qr/    obj = JS_ReadModule\(s\);/,
        sub { '    return JS_ThrowSyntaxError(ctx, "modules are not supported");' }
    ],
    [
        qr/static JSValue JS_ReadFunctionTag\(BCReaderState \*s\)\n\{.*?\n\}\n/s,
        sub {
            read_text("$FindBin::Bin/function-records.c")
              . "\nstatic JSValue JS_ReadFunctionTag(BCReaderState *s)\n{\n    return check_function_code(s);\n}\n"
        }
    ]
);

# Of the 650 properties of the language's objects those exist that a program names (named-properties.c).
# 40 KB less.
reduce(
    'properties on demand',
    [
        qr/\nint JS_SetPropertyFunctionList\(JSContext \*ctx, JSValueConst obj,\n.*?\n\}\n/s,
        sub { "\n" . read_text("$FindBin::Bin/named-properties.c") }
    ],
    [
        qr/(?=static void bc_reader_free\(BCReaderState \*s\)\n\{)/,
        sub { "static int define_named_properties(JSContext *ctx);\n\n" }
    ],
    [
        qr/(    if \(JS_ReadObjectAtoms\(s\))(\) \{)/,
        sub { "$1 || define_named_properties(ctx)$2" }
    ],
    [
        qr/\nvoid JS_FreeRuntime\(JSRuntime \*rt\)\n\{\n(?:    [^\n]*;\n)+\n/,
        sub { "\nstatic void free_property_lists(JSRuntime *rt);\n$&    free_property_lists(rt);\n" }
    ],
    [
        qr/if \(n_alloc_props <= JS_PROP_INITIAL_SIZE\) \{/,
        sub { 'if (true) { /* what a list has is not what is defined of it */' }
    ]
);

1;
