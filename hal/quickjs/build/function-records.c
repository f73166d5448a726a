/*
 * Put into quickjs.c by reduce-engine.pl: records of functions that are read from the bytecode when
 * the function is called, and dropped when it is not running.
 *
 * A function object and a record's constant name a function by where its code begins in the program,
 * which stays in memory as it was given to JS_ReadObject. That has checked every length once and bound
 * all names of the instructions, so that what is read here is known to be whole.
 */

/* Records that are kept at most beside those of running functions. */
enum { KEPT_RECORDS = 64, RECORD_LISTS = 64 };

static JSFunctionBytecode *records[RECORD_LISTS];
static unsigned record_count;
/* The program that JS_ReadObject has read last. */
static const uint8_t *program_code;

/* Of what the function is; the others are declared where they are needed first. */
enum { CODE_DEBUG = 1 << 11 };

/* The first two bytes of a function's code. */
static unsigned code_flags(const uint8_t *code) { return code[0] | code[1] << 8; }

static const uint8_t *read_number(const uint8_t *at, uint32_t *value)
{
    uint32_t byte, shift = 0;
    *value = 0;
    do {
        byte = *at++;
        *value |= (byte & 0x7f) << shift;
        shift += 7;
    } while (byte & 0x80);
    return at;
}

static const uint8_t *skip_numbers(const uint8_t *at, uint32_t count)
{
    for (; count > 0; at++) count -= (*at & 0x80) == 0;
    return at;
}

/* What a function's code begins with; `b` is zeroed. */
static const uint8_t *read_head(const uint8_t *code, JSFunctionBytecode *b)
{
    uint32_t values[8];
    const uint8_t *at = code + 3;
    int idx = 0, flags = code_flags(code);

    b->has_prototype = bc_get_flags(flags, &idx, 1);
    b->has_simple_parameter_list = bc_get_flags(flags, &idx, 1);
    b->is_derived_class_constructor = bc_get_flags(flags, &idx, 1);
    b->need_home_object = bc_get_flags(flags, &idx, 1);
    b->func_kind = bc_get_flags(flags, &idx, 2);
    b->new_target_allowed = bc_get_flags(flags, &idx, 1);
    b->super_call_allowed = bc_get_flags(flags, &idx, 1);
    b->super_allowed = bc_get_flags(flags, &idx, 1);
    b->arguments_allowed = bc_get_flags(flags, &idx, 1);
    b->backtrace_barrier = bc_get_flags(flags, &idx, 1);
    b->is_strict_mode = code[2] > 0;
    at = skip_numbers(at, 1); /* no name */
    for (idx = 0; idx < 8; idx++) at = read_number(at, &values[idx]);
    b->arg_count = values[0];
    b->var_count = values[1];
    b->defined_arg_count = values[2];
    b->stack_size = values[3];
    b->var_ref_count = values[4];
    b->closure_var_count = values[5];
    b->cpool_count = values[6];
    b->byte_code_len = values[7];
    b->code = code;
    return skip_numbers(at, 1); /* how many variables are described */
}

static uint32_t described_variables(const JSFunctionBytecode *b)
{
    return b->var_ref_count == 0 ? 0 : b->arg_count + b->var_count;
}

/* The descriptions of a function's own variables; `variables` may be NULL. */
static const uint8_t *read_variables(const uint8_t *at, uint32_t count, JSVarDef *variables)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t index = 0;
        int idx = 0;
        at = skip_numbers(at, 3); /* no name, scopes */
        JSVarDef found = {0};
        found.var_kind = bc_get_flags(*at, &idx, 4);
        found.is_const = bc_get_flags(*at, &idx, 1);
        found.is_lexical = bc_get_flags(*at, &idx, 1);
        found.is_captured = bc_get_flags(*at++, &idx, 1);
        if (found.is_captured) at = read_number(at, &index);
        found.var_ref_idx = index;
        if (variables != NULL) variables[i] = found;
    }
    return at;
}

static const uint8_t *skip_value(const uint8_t *at);

static const uint8_t *skip_function(const uint8_t *code)
{
    JSFunctionBytecode b = {0};
    const uint8_t *at = read_head(code, &b);
    at = read_variables(at, described_variables(&b), NULL);
    at = skip_numbers(at, 3 * b.closure_var_count);
    for (int i = 0; i < b.cpool_count; i++) at = skip_value(at);
    return at + b.byte_code_len;
}

/* Only kinds of values that JS_ReadFunctionTag lets through. */
static const uint8_t *skip_value(const uint8_t *at)
{
    uint32_t length = 0;
    switch (*at++) {
    case BC_TAG_INT32:
        return skip_numbers(at, 1);
    case BC_TAG_FLOAT64:
        return at + 8;
    case BC_TAG_STRING:
        at = read_number(at, &length);
        return at + ((size_t)(length >> 1) << (length & 1));
    case BC_TAG_BIG_INT:
        at = read_number(at, &length);
        return at + length;
    case BC_TAG_FUNCTION_BYTECODE:
        return skip_function(at);
    default:
        return at;
    }
}

static JSValue read_constant(JSContext *ctx, const uint8_t *at, const uint8_t *end)
{
    BCReaderState state = {0};
    state.ctx = ctx;
    state.buf_start = state.ptr = at;
    state.buf_end = end;
    return JS_ReadObjectRec(&state);
}

static void free_record(JSRuntime *rt, JSFunctionBytecode *b)
{
    for (int i = 0; i < b->cpool_count; i++) JS_FreeValueRT(rt, CONSTANTS_OF(b)[i]);
    js_free_rt(rt, b);
}

static JSFunctionBytecode **record_list(const uint8_t *code)
{
    return &records[((uint32_t)(uintptr_t)code * 0x9e3779b1u) >> 26];
}

static JSFunctionBytecode *find_record(const uint8_t *code)
{
    JSFunctionBytecode *b = *record_list(code);
    while (b != NULL && b->code != code) b = b->next;
    return b;
}

/* Drops the records of all functions that do not run. */
static void drop_records(JSRuntime *rt)
{
    for (JSStackFrame *sf = rt->current_stack_frame; sf != NULL; sf = sf->prev_frame) {
        if (JS_VALUE_GET_TAG(sf->cur_func) != JS_TAG_OBJECT) continue;
        JSObject *p = JS_VALUE_GET_OBJ(sf->cur_func);
        JSFunctionBytecode *b = js_class_has_bytecode(p->class_id) ? find_record(p->u.func.code) : NULL;
        if (b != NULL) b->is_running = true;
    }
    for (int i = 0; i < RECORD_LISTS; i++) {
        JSFunctionBytecode **place = &records[i];
        while (*place != NULL) {
            JSFunctionBytecode *b = *place;
            if (b->is_running) {
                b->is_running = false;
                place = &b->next;
                continue;
            }
            *place = b->next;
            record_count--;
            free_record(rt, b);
        }
    }
}

static JSFunctionBytecode *new_record(JSContext *ctx, const uint8_t *code)
{
    JSFunctionBytecode head = {0};
    const uint8_t *at = read_head(code, &head);
    uint32_t described = described_variables(&head);
    size_t bytes = (uint8_t *)CONSTANTS_OF(&head) - (uint8_t *)&head +
                   head.cpool_count * sizeof(JSValue) + described * sizeof(JSVarDef);
    JSFunctionBytecode *b = js_malloc_rt(ctx->rt, bytes);
    if (b == NULL) {
        drop_records(ctx->rt);
        b = js_malloc(ctx, bytes);
        if (b == NULL) return NULL;
    }
    *b = head;
    at = read_variables(at, described, VARIABLES_OF(b));
    at = skip_numbers(at, 3 * b->closure_var_count);
    for (int i = 0; i < b->cpool_count; i++) {
        const uint8_t *end = skip_value(at);
        bool is_function = *at == BC_TAG_FUNCTION_BYTECODE;
        JSValue value = is_function ? js_int32(at + 1 - code) : read_constant(ctx, at, end);
        if (JS_IsException(value)) {
            b->cpool_count = i;
            free_record(ctx->rt, b);
            return NULL;
        }
        CONSTANTS_OF(b)[i] = value;
        at = end;
    }
    b->byte_code_buf = (uint8_t *)at;
    JSFunctionBytecode **list = record_list(code);
    b->next = *list;
    *list = b;
    record_count++;
    return b;
}

/* The record of a function object; NULL with an exception: no memory. It stays while the function runs,
 * or until another record is asked for. */
static JSFunctionBytecode *record_of(const JSObject *p)
{
    JSFunctionBytecode *b = find_record(p->u.func.code);
    if (likely(b != NULL)) return b;
    if (record_count >= KEPT_RECORDS) drop_records(only_context->rt);
    return new_record(only_context, p->u.func.code);
}

static uint32_t closure_count(const uint8_t *code)
{
    uint32_t count;
    read_number(skip_numbers(code + 3, 6), &count);
    return count;
}

/* A number of the code names no atom. */
static bool is_unnamed(BCReaderState *s)
{
    uint32_t atom;
    if (bc_get_leb128(s, &atom)) return false;
    if (atom == JS_ATOM_NULL) return true;
    JS_ThrowSyntaxError(s->ctx, "bytecode is not stripped");
    return false;
}

/* Checks a function's code and those in it, and binds the names of their instructions. */
static JSValue check_function_code(BCReaderState *s)
{
    const uint8_t *code = s->ptr;
    JSFunctionBytecode b = {0};
    uint32_t values[9], number;
    uint8_t flags;
    int i;

    if (s->buf_end - s->ptr < 3) goto end;
    s->ptr += 3;
    if (!is_unnamed(s)) return JS_EXCEPTION;
    for (i = 0; i < 9; i++)
        if (bc_get_leb128(s, &values[i])) return JS_EXCEPTION;
    for (i = 0; i < 8; i++)
        if (values[i] > (i < 6 ? UINT16_MAX : INT32_MAX)) goto end;
    read_head(code, &b);
    if (values[8] != described_variables(&b) || (code_flags(code) & CODE_DEBUG) != 0) {
        return JS_ThrowSyntaxError(s->ctx, "bytecode is not stripped");
    }
    for (i = 0; i < (int)values[8]; i++) {
        if (!is_unnamed(s) || bc_get_leb128(s, &number) || bc_get_leb128(s, &number)) {
            return JS_EXCEPTION;
        }
        if (bc_get_u8(s, &flags)) return JS_EXCEPTION;
        if ((flags & 1 << 6) != 0 && bc_get_leb128(s, &number)) return JS_EXCEPTION;
    }
    for (i = 0; i < b.closure_var_count; i++) {
        if (!is_unnamed(s) || bc_get_leb128(s, &number) || bc_get_leb128(s, &number)) {
            return JS_EXCEPTION;
        }
    }
    for (i = 0; i < b.cpool_count; i++) {
        if (s->ptr == s->buf_end) goto end;
        uint8_t tag = *s->ptr;
        JSValue value = JS_ReadObjectRec(s);
        if (JS_IsException(value)) return value;
        JS_FreeValue(s->ctx, value);
        bool is_simple = tag <= BC_TAG_STRING || tag == BC_TAG_BIG_INT;
        if (!is_simple && tag != BC_TAG_FUNCTION_BYTECODE) {
            return JS_ThrowSyntaxError(s->ctx, "a constant of kind %d is not supported", tag);
        }
    }
    if (JS_ReadFunctionBytecode(s, &b, 0, b.byte_code_len)) return JS_EXCEPTION;
    only_context = s->ctx;
    program_code = code;
    return js_int32(0);
end:
    bc_read_error_end(s);
    return JS_EXCEPTION;
}

/* A closure's variables, as its code lists them. */
static JSValue js_closure2(JSContext *ctx, JSValue func_obj, const uint8_t *code,
                           JSVarRef **cur_var_refs, JSStackFrame *sf)
{
    JSObject *p = JS_VALUE_GET_OBJ(func_obj);
    JSFunctionBytecode b = {0};
    const uint8_t *at = read_head(code, &b);
    JSVarRef **var_refs;

    p->u.func.code = code;
    p->u.func.home_object = NULL;
    p->u.func.var_refs = NULL;
    if (b.closure_var_count == 0) return func_obj;
    var_refs = js_mallocz(ctx, sizeof(var_refs[0]) * b.closure_var_count);
    if (!var_refs) goto fail;
    p->u.func.var_refs = var_refs;
    at = read_variables(at, described_variables(&b), NULL);
    for (int i = 0; i < b.closure_var_count; i++) {
        uint32_t index, flags;
        at = read_number(read_number(skip_numbers(at, 1), &index), &flags);
        switch (flags & 7) {
        case JS_CLOSURE_LOCAL:
        case JS_CLOSURE_ARG:
            /* reuses the variable's reference where there is one */
            var_refs[i] = get_var_ref(ctx, sf, index, (flags & 7) == JS_CLOSURE_ARG);
            break;
        case JS_CLOSURE_REF:
        case JS_CLOSURE_GLOBAL_REF:
            var_refs[i] = cur_var_refs[index];
            JS_REF_COUNT(var_refs[i])++;
            break;
        default:
            abort();
        }
        if (!var_refs[i]) goto fail;
    }
    return func_obj;
fail:
    JS_FreeValue(ctx, func_obj);
    return JS_EXCEPTION;
}
