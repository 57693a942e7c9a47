/* SPDX-License-Identifier: MIT */
/*
 * A row of archs.def says how an architecture remembers; its description's keys say how much.
 *
 * Formulas are llama.cpp's, which decides how large its cache is; other engines differ in padding.
 * Whatever is needed and not said makes the whole cache unknown: a sum with a guess in it would
 * look like any other.
 */
#include "planner/arch.h"

#include <errno.h>
#include <string.h>

#include "runtime/util.h"

static const struct row {
    const char *name;
    const char *other_name;
    enum arch_cache cache;
    uint32_t period;
    bool dense_first;
} rows[] = {
#define ARCH(name, other_name, cache, period, dense_first)                                         \
    {name, other_name, ARCH_CACHE_##cache, period, dense_first},
#include "planner/archs.def"
};

enum {
    CHUNKED_WINDOW = 8192, /* llama4's, which its files do not say */
    NUMBER_MAX = 1 << 30,
};

const char *arch_cache_name(enum arch_cache cache)
{
    static const char *const names[] = {
        [ARCH_CACHE_STANDARD] = "keys and values in every layer",
        [ARCH_CACHE_SLIDING] = "keys and values, of the last tokens only in some layers",
        [ARCH_CACHE_LATENT] = "one compressed vector per token and layer",
        [ARCH_CACHE_RECURRENT] = "a state of fixed size in every layer",
        [ARCH_CACHE_RWKV] = "a state of fixed size in every layer",
        [ARCH_CACHE_NO_HEADS] = "a state of fixed size in most layers, keys and values in others",
        [ARCH_CACHE_NO_HEADS_NO_FFN] =
            "a state of fixed size in some layers, keys and values in a few",
        [ARCH_CACHE_SHORT_CONV] = "a short state in most layers, keys and values in others",
        [ARCH_CACHE_BOTH] = "a state of fixed size, and keys and values, in every layer",
        [ARCH_CACHE_INTERVAL] = "a state of fixed size in most layers, keys and values in others",
        [ARCH_CACHE_DELTA] = "a state of fixed size in most layers, compressed vectors in others",
        [ARCH_CACHE_NONE] = "nothing is kept: an encoder",
    };

    return names[cache];
}

static bool equals(const struct arch_facts *facts, const char *name)
{
    return strlen(name) == facts->name_size && memcmp(name, facts->name, facts->name_size) == 0;
}

static const struct row *find_row(const struct arch_facts *facts)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (equals(facts, rows[i].name))
            return &rows[i];
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (facts->name_size && equals(facts, rows[i].other_name))
            return &rows[i];
    return NULL;
}

static void say_wrong(struct arch *arch, const char *key, const char *why)
{
    if (!arch->wrong) {
        arch->missing = key;
        arch->wrong = why;
    }
}

/* One number of a reasonable size. One that is said and has no such size is not taken for one that
 * is not said. */
static bool get_at(const struct arch_facts *facts, const char *key, uint64_t index,
                   struct arch *arch, uint32_t *out)
{
    uint64_t value = 0;
    int r = facts->at(facts, key, index, &value);

    if (r == 0 && value <= NUMBER_MAX) {
        *out = (uint32_t)value;
        return true;
    }
    if (r != -ENOENT)
        say_wrong(arch, key, r ? "is no whole number" : "is too large to be true");
    return false;
}

static uint32_t get_or(const struct arch_facts *facts, const char *key, struct arch *arch,
                       uint32_t fallback)
{
    uint32_t value;

    return get_at(facts, key, 0, arch, &value) ? value : fallback;
}

static uint32_t need_at(const struct arch_facts *facts, const char *key, uint64_t index,
                        struct arch *arch)
{
    uint32_t value;

    if (get_at(facts, key, index, arch, &value))
        return value;
    if (!arch->missing)
        arch->missing = key;
    return 0;
}

static uint32_t need(const struct arch_facts *facts, const char *key, struct arch *arch)
{
    return need_at(facts, key, 0, arch);
}

/* The last inputs of the convolution, and the state proper. */
static uint64_t mamba_state(const struct arch_facts *facts, struct arch *arch)
{
    uint64_t kernel = need(facts, "ssm.conv_kernel", arch);
    uint64_t inner = need(facts, "ssm.inner_size", arch);
    uint64_t state = need(facts, "ssm.state_size", arch);
    uint64_t groups = get_or(facts, "ssm.group_count", arch, 0);

    if (kernel > 64 || groups > 4096 || state > 1 << 20) {
        say_wrong(arch, "ssm.state_size", "or a neighbour of it is too large to be true");
        return 0;
    }
    return (kernel ? kernel - 1 : 0) * (inner + 2 * groups * state) + state * inner;
}

static uint64_t rwkv_state(const struct arch_facts *facts, struct arch *arch)
{
    uint64_t shift = get_or(facts, "token_shift_count", arch, 2);
    uint64_t head = need(facts, "wkv.head_size", arch);

    return shift * arch->width + (uint64_t)arch->width * head;
}

static uint64_t short_conv_state(const struct arch_facts *facts, struct arch *arch)
{
    uint64_t cache = need(facts, "shortconv.l_cache", arch);

    return (cache ? cache - 1 : 0) * arch->width;
}

static uint64_t delta_state(const struct arch_facts *facts, struct arch *arch)
{
    uint64_t kernel = need(facts, "ssm.conv_kernel", arch);
    uint64_t head = need(facts, "kda.head_dim", arch);
    uint64_t heads = need(facts, "attention.head_count", arch);

    if (head > 1 << 14 || heads > 1 << 14) {
        say_wrong(arch, "kda.head_dim", "is too large to be true");
        return 0;
    }
    return 3 * (kernel ? kernel - 1 : 0) * head * heads + head * head * heads;
}

static uint64_t state_of(const struct arch_facts *facts, struct arch *arch)
{
    switch (arch->cache) {
    case ARCH_CACHE_RWKV:
        return rwkv_state(facts, arch);
    case ARCH_CACHE_SHORT_CONV:
        return short_conv_state(facts, arch);
    case ARCH_CACHE_DELTA:
        return delta_state(facts, arch);
    default:
        return mamba_state(facts, arch);
    }
}

/* Heads of keys; a model that does not say has as many as of queries. */
static uint32_t kv_heads(const struct arch_facts *facts, uint32_t i, struct arch *arch)
{
    uint32_t heads;

    if (get_at(facts, "attention.head_count_kv", i, arch, &heads))
        return heads;
    return need_at(facts, "attention.head_count", i, arch);
}

static void read_latent(const struct arch_facts *facts, struct arch *arch, struct arch_layer *layer)
{
    layer->n_kv = 1;
    layer->key =
        need(facts, "attention.kv_lora_rank", arch) + need(facts, "rope.dimension_count", arch);
}

/* The size of a head is what the width is divided into, where it is not said. */
static void read_heads(const struct arch_facts *facts, uint32_t i, struct arch *arch,
                       struct arch_layer *layer)
{
    uint32_t heads = need_at(facts, "attention.head_count", i, arch);
    uint32_t size = heads ? arch->width / heads : 0;
    uint32_t said;

    layer->key = get_or(facts, "attention.key_length", arch, size);
    layer->value = get_or(facts, "attention.value_length", arch, size ? size : layer->key);
    if (layer->sliding) {
        layer->key = get_or(facts, "attention.key_length_swa", arch, layer->key);
        layer->value = get_or(facts, "attention.value_length_swa", arch, layer->value);
    }
    if (!heads && !arch->missing)
        say_wrong(arch, "attention.head_count", "is 0");
    if (!layer->key && get_at(facts, "attention.key_length", 0, arch, &said))
        say_wrong(arch, "attention.key_length", "is 0");
    if (!layer->key && !arch->missing)
        arch->missing = "attention.key_length";
}

/* A list says it layer by layer, a number is a period. */
static bool is_sliding(const struct arch_facts *facts, uint32_t i, const struct row *row,
                       struct arch *arch)
{
    static const char *const key = "attention.sliding_window_pattern";
    uint32_t first, said, period = row->period;
    bool is_list = get_at(facts, key, i, arch, &said) && get_at(facts, key, 0, arch, &first);
    uint32_t beyond;

    /* A plain number answers for any index. */
    if (is_list && !get_at(facts, key, NUMBER_MAX, arch, &beyond))
        return said != 0;
    if (is_list)
        period = first;
    if (period == 0)
        return true;
    return row->dense_first ? i % period != 0 : i % period < period - 1;
}

static bool has_state(const struct arch_facts *facts, uint32_t i, const struct row *row,
                      uint32_t n_kv, struct arch *arch)
{
    uint32_t every = get_or(facts, "full_attention_interval", arch, row->period);
    uint32_t ffn;

    switch (row->cache) {
    case ARCH_CACHE_RECURRENT:
    case ARCH_CACHE_RWKV:
    case ARCH_CACHE_BOTH:
        return true;
    case ARCH_CACHE_NO_HEADS:
    case ARCH_CACHE_SHORT_CONV:
    case ARCH_CACHE_DELTA:
        return n_kv == 0;
    case ARCH_CACHE_NO_HEADS_NO_FFN:
        return n_kv == 0 && get_at(facts, "feed_forward_length", i, arch, &ffn) && ffn == 0;
    case ARCH_CACHE_INTERVAL:
        return every && (i + 1) % every != 0;
    default:
        return false;
    }
}

static void read_layer(const struct arch_facts *facts, uint32_t i, const struct row *row,
                       struct arch *arch)
{
    struct arch_layer *layer = &arch->layers[i];
    bool pure = row->cache == ARCH_CACHE_RECURRENT || row->cache == ARCH_CACHE_RWKV;
    bool stateful;

    if (!pure)
        layer->n_kv = kv_heads(facts, i, arch);
    stateful = has_state(facts, i, row, layer->n_kv, arch);
    if (stateful)
        layer->state = state_of(facts, arch);
    if (stateful && row->cache != ARCH_CACHE_BOTH)
        layer->n_kv = 0;
    if (layer->n_kv == 0)
        return;
    layer->sliding =
        row->cache == ARCH_CACHE_SLIDING && arch->window && is_sliding(facts, i, row, arch);
    if (row->cache == ARCH_CACHE_LATENT || row->cache == ARCH_CACHE_DELTA)
        read_latent(facts, arch, layer);
    else
        read_heads(facts, i, arch, layer);
}

/* Layers that predict further tokens keep nothing as long as nobody asks them to, and some use the
 * keys and values of those before them. */
static void forget_layers(const struct arch_facts *facts, struct arch *arch)
{
    uint32_t ahead = get_or(facts, "nextn_predict_layers", arch, 0);
    uint32_t shared = get_or(facts, "attention.shared_kv_layers", arch, 0);
    uint32_t idle = ahead > shared ? ahead : shared;

    for (uint32_t i = 0; i < arch->n_layers; i++)
        if (arch->n_layers - i <= idle)
            arch->layers[i] = (struct arch_layer){0};
}

/* A list has a number for each layer; a plain number answers for any index. */
static void check_list(const struct arch_facts *facts, const char *key, struct arch *arch)
{
    uint64_t value;

    if (facts->at(facts, key, NUMBER_MAX, &value) != -ENOENT ||
        facts->at(facts, key, 0, &value) == -ENOENT)
        return;
    if (facts->at(facts, key, arch->n_layers - 1, &value) == -ENOENT)
        say_wrong(arch, key, "has fewer numbers than there are layers");
    else if (facts->at(facts, key, arch->n_layers, &value) != -ENOENT)
        say_wrong(arch, key, "has more numbers than there are layers");
}

static void read_layers(const struct arch_facts *facts, const struct row *row, struct arch *arch)
{
    static const char *const lists[] = {"attention.head_count", "attention.head_count_kv"};

    arch->n_layers = need(facts, "block_count", arch);
    arch->width = need(facts, "embedding_length", arch);
    if (!arch->missing && (arch->n_layers == 0 || arch->n_layers > ARCH_MAX_LAYERS))
        say_wrong(arch, "block_count", arch->n_layers ? "is more than 1024" : "is 0");
    for (size_t i = 0; !arch->missing && i < ARRAY_SIZE(lists); i++)
        check_list(facts, lists[i], arch);
    arch->window = get_or(facts, "attention.sliding_window", arch, 0);
    if (row->cache == ARCH_CACHE_SLIDING && strcmp(row->name, "llama4") == 0)
        arch->window = get_or(facts, "attention.chunk_size", arch, CHUNKED_WINDOW);
    if (row->cache == ARCH_CACHE_NONE)
        return;
    for (uint32_t i = 0; !arch->missing && i < arch->n_layers; i++)
        read_layer(facts, i, row, arch);
    if (!arch->missing)
        forget_layers(facts, arch);
}

static void read_verdict(const struct arch_facts *facts, struct arch *out)
{
    const struct row *row = find_row(facts);

    out->context = get_or(facts, "context_length", out, 0);
    out->vocabulary = get_or(facts, "vocab_size", out, 0);
    out->n_experts = get_or(facts, "expert_count", out, 0);
    out->n_experts_used = get_or(facts, "expert_used_count", out, 0);
    if (out->n_experts && out->n_experts_used > out->n_experts)
        say_wrong(out, "expert_used_count", "is more than expert_count");
    out->verdict = ARCH_UNKNOWN;
    if (!row) {
        out->n_layers = (uint32_t)min_u64(get_or(facts, "block_count", out, 0), ARCH_MAX_LAYERS);
        out->width = get_or(facts, "embedding_length", out, 0);
        return;
    }
    out->cache = row->cache;
    read_layers(facts, row, out);
    out->verdict = out->missing ? ARCH_INCOMPLETE : ARCH_KNOWN;
}

void arch_read(const struct arch_facts *facts, struct arch *out)
{
    memset(out, 0, sizeof(*out));
    out->verdict = ARCH_UNNAMED;
    if (!facts->name || !facts->name_size)
        return;
    memcpy(out->name, facts->name, min_u64(facts->name_size, sizeof(out->name) - 1));
    read_verdict(facts, out);
    if (out->wrong)
        out->verdict = ARCH_WRONG;
    if (out->missing)
        memset(out->layers, 0, sizeof(out->layers));
}
