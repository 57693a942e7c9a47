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

/* One number of a reasonable size. */
static bool get_at(const struct arch_facts *facts, const char *key, uint64_t index, uint32_t *out)
{
    uint64_t value;

    if (facts->at(facts, key, index, &value) != 0 || value > NUMBER_MAX)
        return false;
    *out = (uint32_t)value;
    return true;
}

static uint32_t get_or(const struct arch_facts *facts, const char *key, uint32_t fallback)
{
    uint32_t value;

    return get_at(facts, key, 0, &value) ? value : fallback;
}

static uint32_t need_at(const struct arch_facts *facts, const char *key, uint64_t index,
                        struct arch *arch)
{
    uint32_t value;

    if (get_at(facts, key, index, &value))
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
    uint64_t groups = get_or(facts, "ssm.group_count", 0);

    if (kernel > 64 || groups > 4096 || state > 1 << 20) {
        arch->missing = "ssm.state_size";
        return 0;
    }
    return (kernel ? kernel - 1 : 0) * (inner + 2 * groups * state) + state * inner;
}

static uint64_t rwkv_state(const struct arch_facts *facts, struct arch *arch)
{
    uint64_t shift = get_or(facts, "token_shift_count", 2);
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
        arch->missing = "kda.head_dim";
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

    if (get_at(facts, "attention.head_count_kv", i, &heads))
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

    layer->key = get_or(facts, "attention.key_length", size);
    layer->value = get_or(facts, "attention.value_length", layer->key);
    if (layer->sliding) {
        layer->key = get_or(facts, "attention.key_length_swa", layer->key);
        layer->value = get_or(facts, "attention.value_length_swa", layer->value);
    }
    if (!layer->key && !arch->missing)
        arch->missing = "attention.key_length";
}

/* A list says it layer by layer, a number is a period. */
static bool is_sliding(const struct arch_facts *facts, uint32_t i, const struct row *row)
{
    static const char *const key = "attention.sliding_window_pattern";
    uint32_t first, said, period = row->period;
    bool is_list = get_at(facts, key, i, &said) && get_at(facts, key, 0, &first);
    uint32_t beyond;

    /* A plain number answers for any index. */
    if (is_list && !get_at(facts, key, NUMBER_MAX, &beyond))
        return said != 0;
    if (is_list)
        period = first;
    if (period == 0)
        return true;
    return row->dense_first ? i % period != 0 : i % period < period - 1;
}

static bool has_state(const struct arch_facts *facts, uint32_t i, const struct row *row,
                      uint32_t n_kv)
{
    uint32_t every = get_or(facts, "full_attention_interval", row->period);
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
        return n_kv == 0 && get_at(facts, "feed_forward_length", i, &ffn) && ffn == 0;
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
    stateful = has_state(facts, i, row, layer->n_kv);
    if (stateful)
        layer->state = state_of(facts, arch);
    if (stateful && row->cache != ARCH_CACHE_BOTH)
        layer->n_kv = 0;
    if (layer->n_kv == 0)
        return;
    layer->sliding = row->cache == ARCH_CACHE_SLIDING && arch->window && is_sliding(facts, i, row);
    if (row->cache == ARCH_CACHE_LATENT || row->cache == ARCH_CACHE_DELTA)
        read_latent(facts, arch, layer);
    else
        read_heads(facts, i, arch, layer);
}

/* Layers that predict further tokens keep nothing as long as nobody asks them to, and some use the
 * keys and values of those before them. */
static void forget_layers(const struct arch_facts *facts, struct arch *arch)
{
    uint32_t ahead = get_or(facts, "nextn_predict_layers", 0);
    uint32_t shared = get_or(facts, "attention.shared_kv_layers", 0);
    uint32_t idle = ahead > shared ? ahead : shared;

    for (uint32_t i = 0; i < arch->n_layers; i++)
        if (arch->n_layers - i <= idle)
            arch->layers[i] = (struct arch_layer){0};
}

static void read_layers(const struct arch_facts *facts, const struct row *row, struct arch *arch)
{
    arch->n_layers = need(facts, "block_count", arch);
    arch->width = need(facts, "embedding_length", arch);
    if (!arch->missing && (arch->n_layers == 0 || arch->n_layers > ARCH_MAX_LAYERS))
        arch->missing = "block_count";
    arch->window = get_or(facts, "attention.sliding_window", 0);
    if (row->cache == ARCH_CACHE_SLIDING && strcmp(row->name, "llama4") == 0)
        arch->window = get_or(facts, "attention.chunk_size", CHUNKED_WINDOW);
    if (row->cache == ARCH_CACHE_NONE)
        return;
    for (uint32_t i = 0; !arch->missing && i < arch->n_layers; i++)
        read_layer(facts, i, row, arch);
    if (!arch->missing)
        forget_layers(facts, arch);
}

void arch_read(const struct arch_facts *facts, struct arch *out)
{
    const struct row *row;

    memset(out, 0, sizeof(*out));
    out->verdict = ARCH_UNNAMED;
    if (!facts->name || !facts->name_size)
        return;
    memcpy(out->name, facts->name, min_u64(facts->name_size, sizeof(out->name) - 1));
    out->context = get_or(facts, "context_length", 0);
    out->vocabulary = get_or(facts, "vocab_size", 0);
    out->n_experts = get_or(facts, "expert_count", 0);
    out->n_experts_used = get_or(facts, "expert_used_count", 0);
    row = find_row(facts);
    out->verdict = ARCH_UNKNOWN;
    if (!row) {
        out->n_layers = (uint32_t)min_u64(get_or(facts, "block_count", 0), ARCH_MAX_LAYERS);
        out->width = get_or(facts, "embedding_length", 0);
        return;
    }
    out->cache = row->cache;
    read_layers(facts, row, out);
    out->verdict = out->missing ? ARCH_INCOMPLETE : ARCH_KNOWN;
    if (out->missing)
        memset(out->layers, 0, sizeof(out->layers));
}
