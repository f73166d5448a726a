/*
 * Put into quickjs.c by reduce-engine.pl: properties of the language's objects that exist once a
 * program names them. Without a parser a name that is in no program is asked for by nobody.
 *
 * Lists of properties are constant data of the engine. What a program names of them is defined when
 * its bytecode is read, before it runs; what symbols or the engine itself name, at once.
 */

enum { MAX_PROPERTY_LISTS = 128 };

static struct {
    JSValue object;
    const JSCFunctionListEntry *entries;
    int count;
} property_lists[MAX_PROPERTY_LISTS];
static int property_list_count;

static bool is_named(JSContext *ctx, const char *name)
{
    JSAtom atom;
    if (*name == '[') return true;
    atom = __JS_FindAtom(ctx->rt, name, strlen(name), JS_ATOM_TYPE_STRING);
    JS_FreeAtom(ctx, atom);
    return atom != JS_ATOM_NULL;
}

static int define_entry(JSContext *ctx, JSValueConst object, const JSCFunctionListEntry *entry);

/* Defines what an alias stands for. */
static int define_by_name(JSContext *ctx, JSValueConst object, const char *name)
{
    for (int i = 0; i < property_list_count; i++) {
        if (JS_VALUE_GET_OBJ(property_lists[i].object) != JS_VALUE_GET_OBJ(object)) continue;
        for (int j = 0; j < property_lists[i].count; j++) {
            const JSCFunctionListEntry *entry = &property_lists[i].entries[j];
            if (strcmp(entry->name, name) == 0) return define_entry(ctx, object, entry);
        }
    }
    return 0;
}

static int define_entry(JSContext *ctx, JSValueConst object, const JSCFunctionListEntry *entry)
{
    JSProperty *found;
    JSAtom atom = find_atom(ctx, entry->name);
    int result = 0;
    if (atom == JS_ATOM_NULL) return -1;
    if (find_own_property(&found, JS_VALUE_GET_OBJ(object), atom) == NULL) {
        if (entry->def_type == JS_DEF_ALIAS) {
            int base = entry->u.alias.base;
            JSValueConst of = base < 0 ? object : base == 0 ? ctx->global_obj : ctx->class_proto[JS_CLASS_ARRAY];
            result = define_by_name(ctx, of, entry->u.alias.name);
        }
        if (result == 0) result = JS_InstantiateFunctionListItem(ctx, object, atom, entry);
    }
    JS_FreeAtom(ctx, atom);
    return result;
}

static int define_named(JSContext *ctx, JSValueConst object, const JSCFunctionListEntry *entries, int count)
{
    for (int i = 0; i < count; i++)
        if (is_named(ctx, entries[i].name) && define_entry(ctx, object, &entries[i])) return -1;
    return 0;
}

/* A program has been read: defines what it names. */
static int define_named_properties(JSContext *ctx)
{
    for (int i = 0; i < property_list_count; i++) {
        if (define_named(ctx, property_lists[i].object, property_lists[i].entries, property_lists[i].count))
            return -1;
    }
    return 0;
}

static void free_property_lists(JSRuntime *rt)
{
    while (property_list_count > 0) JS_FreeValueRT(rt, property_lists[--property_list_count].object);
}

int JS_SetPropertyFunctionList(JSContext *ctx, JSValueConst obj,
                               const JSCFunctionListEntry *tab, int len)
{
    if (property_list_count == MAX_PROPERTY_LISTS) {
        for (int i = 0; i < len; i++)
            if (define_entry(ctx, obj, &tab[i])) return -1;
        return 0;
    }
    property_lists[property_list_count].object = js_dup(obj);
    property_lists[property_list_count].entries = tab;
    property_lists[property_list_count++].count = len;
    return define_named(ctx, obj, tab, len);
}
