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

my ($folder, $tools) = @ARGV;
die "usage: reduce-engine.pl FOLDER [tools]\n" unless defined $folder;
my $path = "$folder/quickjs.c";
open my $in, '<', $path or die "$path: $!\n";
my $text = do { local $/; <$in> };
close $in;

# change(NAME, [PATTERN, REPLACEMENT], …): all of them or none.
sub change {
    my ($name, @edits) = @_;
    my $changed = $text;
    for my $edit (@edits) {
        my ($pattern, $replacement) = @$edit;
        next if $changed =~ s/$pattern/$replacement->()/ge;
        warn "reduce-engine.pl: this QuickJS-ng is another one, left out: $name\n";
        return;
    }
    $text = $changed;
}

# The same for the programs of an ECU only.
sub reduce { change(@_) unless defined $tools; }

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
    ]
);

# Room in every string for the engine's own leak hunt: 28 KB less.
reduce(
    'no dumps',
    [ qr/#ifndef NDEBUG\n#define ENABLE_DUMPS\n#endif\n/, sub { '' } ]
);

# Room in every object and string for weak references, which nobody can make without WeakMap, WeakSet
# (left out here) and WeakRef (an intrinsic that the host does not add): 27 KB less.
reduce(
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

# Cycles are collected when a sixteenth has come to the heap, not half: 260 KB less at the peak.
reduce(
    'garbage collected sooner',
    [
        qr/(rt->malloc_gc_threshold = rt->malloc_state\.malloc_size \+\s*\(rt->malloc_state\.malloc_size >> )1\)/,
        sub { "${1}4)" }
    ]
);

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

open my $out, '>', $path or die "$path: $!\n";
print $out $text;
close $out or die "$path: $!\n";
