/* SPDX-License-Identifier: MIT */
/*
 * Files hold tensors in any order; a pass reads the embedding, then the blocks by number, then the
 * rest. Within a block the file's order is taken: what matters is that blocks follow each other.
 */
#include "planner/order.h"

#include <ctype.h>
#include <string.h>

#include "planner/model.h"
#include "runtime/util.h"

/* The first number between two dots, or before one, and what stands before it. */
static bool block_number(struct text name, uint64_t *out, struct text *out_label)
{
    size_t at = 0;

    while (at < name.size) {
        size_t end = at;
        uint64_t value = 0;

        while (end < name.size && isdigit((unsigned char)name.data[end]) && end - at < 9)
            value = value * 10 + (uint64_t)(name.data[end++] - '0');
        if (end > at && end < name.size && name.data[end] == '.') {
            *out = value;
            *out_label = (struct text){name.data, at ? at - 1 : 0};
            return true;
        }
        while (at < name.size && name.data[at] != '.')
            at++;
        at++;
    }
    return false;
}

/* The name without what files of several components, or of one program, put before it. */
static struct text bare(struct text name)
{
    static const char *const prefixes[] = {"model.diffusion_model.", "diffusion_model.", "net."};

    for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
        if (text_begins(name, prefixes[i])) {
            size_t n = __builtin_strlen(prefixes[i]);

            return (struct text){name.data + n, name.size - n};
        }
    return name;
}

/* What comes behind the blocks. */
static bool is_last(struct text name)
{
    static const char *const starts[] = {"output_norm.",   "model.norm.", "final_layer.",
                                         "proj_out.",      "norm_out.",   "conv_out.",
                                         "conv_norm_out.", "head.",       "out."};

    for (size_t i = 0; i < ARRAY_SIZE(starts); i++)
        if (text_begins(bare(name), starts[i]))
            return true;
    return role_of(name) == ROLE_OUTPUT;
}

static bool ends(struct text text, const char *end)
{
    size_t n = __builtin_strlen(end);

    return text.size >= n && memcmp(text.data + text.size - n, end, n) == 0;
}

/* Whether numbers behind the label count blocks. What turns texts, times and images into what the
 * blocks read has numbered parts as well. */
static bool counts_blocks(struct text label)
{
    static const char *const words[] = {"block", "blocks", "layer", "layers", "blk"};
    static const char *const others[] = {"embed", "_emb", "_in", "projection", "modulation"};

    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (ends(label, words[i]))
            return true;
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        if (text_has(label, others[i]))
            return false;
    return true;
}

/* Image models have stacks of blocks, each numbered from 0; the first match decides. */
static int stack_of(struct text name)
{
    static const struct {
        const char *part;
        int stack;
    } rows[] = {
        {"llm_adapter.", -2},   {"token_refiner.", -2}, {"guidance_layer.", -2},
        {"noise_refiner.", -2}, {"vace_blocks.", -1},   {"context_refiner.", -1},
        {"down_blocks.", -1},   {"input_blocks.", -1},  {"up_blocks.", 1},
        {"output_blocks.", 1},  {"single_", 1},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (text_has(name, rows[i].part))
            return rows[i].stack;
    return 0;
}

struct order order_of(const struct tensor *tensor, size_t index)
{
    struct order order = {.tensor = tensor, .index = index};
    struct text label;
    uint64_t block;

    if (is_last(tensor->name)) {
        order.section = 2;
    } else if (block_number(tensor->name, &block, &label) && counts_blocks(label)) {
        order.section = 1;
        order.stack = stack_of(tensor->name);
        order.block = block;
        order.label = label;
    }
    return order;
}

int order_compare(const void *left, const void *right)
{
    const struct order *a = left;
    const struct order *b = right;

    if (a->section != b->section)
        return a->section - b->section;
    if (a->stack != b->stack)
        return a->stack - b->stack;
    if (a->block != b->block)
        return a->block < b->block ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

bool order_begins_block(const struct order *order, const struct order *before)
{
    return order->section == 1 && (!before || before->section != 1 ||
                                   before->stack != order->stack || before->block != order->block);
}
