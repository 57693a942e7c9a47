/* SPDX-License-Identifier: MIT */
/*
 * A name is looked for in a table of words first, then among the names of files and folders, then
 * among those of tensors. What it means is a set of pieces, and it must not be empty.
 */
#include "planner/pin.h"

#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "planner/message.h"
#include "planner/order.h"
#include "runtime/util.h"

enum {
    NAME_MOST = 256,  /* of a tensor that is compared with a pattern */
    STACKS_SHOWN = 6, /* in an error */
};

/* Other words for parts. */
static const struct {
    const char *word;
    enum input_role role;
} words[] = {
    {"text_encoder", INPUT_ENCODER}, {"cond_stage", INPUT_ENCODER}, {"vae", INPUT_DECODER},
    {"first_stage", INPUT_DECODER},  {"lora", INPUT_ADAPTER},       {"mmproj", INPUT_PROJECTOR},
    {"transformer", INPUT_MODEL},    {"unet", INPUT_MODEL},         {"diffusion", INPUT_MODEL},
};

/* A name, taken apart. */
struct wanted {
    const char *name;
    bool is_pattern;
    size_t stem; /* bytes of it before the numbers of layers; 0: there are none */
    uint64_t first, last;
};

const char *pin_place_name(enum place_pin where)
{
    static const char *const names[] = {
        [PLACE_ANYWHERE] = "anywhere", [PLACE_ON_HOST] = "host", [PLACE_ON_DEVICE] = "device"};

    return names[where];
}

/* "blk.3", "blk.0-3" */
static void take_layers(struct wanted *wanted)
{
    const char *dot = strrchr(wanted->name, '.');
    unsigned int first, last;
    char rest;

    if (!dot || dot == wanted->name || !isdigit((unsigned char)dot[1]))
        return;
    if (sscanf(dot + 1, "%9u-%9u%c", &first, &last, &rest) != 2) {
        if (sscanf(dot + 1, "%9u%c", &first, &rest) != 1)
            return;
        last = first;
    }
    wanted->stem = (size_t)(dot - wanted->name);
    wanted->first = first;
    wanted->last = last;
}

static bool is_stack(struct text stack, const char *name, size_t n)
{
    return stack.size >= n && memcmp(stack.data + stack.size - n, name, n) == 0 &&
           (stack.size == n || stack.data[stack.size - n - 1] == '.');
}

static bool is_tensor(const struct wanted *wanted, const struct tensor *tensor)
{
    struct order order = order_of(tensor, 0);
    char name[NAME_MOST];

    if (wanted->is_pattern) {
        snprintf(name, sizeof(name), "%.*s", (int)min_u64(tensor->name.size, NAME_MOST - 1),
                 tensor->name.data);
        return fnmatch(wanted->name, name, 0) == 0;
    }
    if (order.section != 1)
        return false;
    if (wanted->stem)
        return is_stack(order.label, wanted->name, wanted->stem) && order.block >= wanted->first &&
               order.block <= wanted->last;
    return is_stack(order.label, wanted->name, strlen(wanted->name));
}

static bool is_part(const struct subject_part *part, const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (strcmp(words[i].word, name) == 0)
            return part->role == words[i].role;
    return strcmp(input_role_name(part->role), name) == 0 ||
           strcmp(basename(part->path), name) == 0;
}

/* Of which phase, part and kind a piece is. */
static bool is_of(const struct subject *s, size_t piece, const char *name)
{
    for (size_t i = 0; i < s->n_phases; i++)
        if (piece >= s->phases[i].first && piece - s->phases[i].first < s->phases[i].n &&
            strcmp(s->phases[i].name, name) == 0)
            return true;
    for (size_t i = 0; i < s->n_parts; i++)
        if (piece >= s->parts[i].first && piece - s->parts[i].first < s->parts[i].n &&
            is_part(&s->parts[i], name))
            return true;
    if (!s->tensors)
        return s->pieces[piece].expert && strcmp(name, role_name(ROLE_EXPERTS)) == 0;
    return strcmp(role_name(role_of(s->tensors[piece]->name)), name) == 0;
}

static bool is_wanted(const struct subject *s, size_t piece, const struct wanted *wanted)
{
    return is_of(s, piece, wanted->name) || (s->tensors && is_tensor(wanted, s->tensors[piece]));
}

/* Names that there are, once each. */
struct names {
    char *out;
    size_t used, size;
};

static void add_name(struct names *names, const char *name, size_t n)
{
    for (const char *at = names->out; (at = strstr(at, ", ")); at += 2)
        if (strncmp(at + 2, name, n) == 0 && (at[2 + n] == ',' || !at[2 + n]))
            return;
    if (names->used + n + 3 >= names->size)
        return;
    names->used += (size_t)snprintf(names->out + names->used, names->size - names->used, ", %.*s",
                                    (int)n, name);
}

static void add_parts(const struct subject *s, struct names *names)
{
    for (size_t i = 0; i < s->n_phases; i++)
        add_name(names, s->phases[i].name, strlen(s->phases[i].name));
    for (size_t i = 0; i < s->n_parts; i++)
        add_name(names, input_role_name(s->parts[i].role),
                 strlen(input_role_name(s->parts[i].role)));
}

/* Kinds of tensors, and layers. */
static void add_kinds(const struct subject *s, struct names *names)
{
    size_t stacks = 0;

    for (int role = 0; role < ROLE_COUNT; role++)
        for (size_t i = 0; i < s->n_pieces; i++)
            if (s->tensors ? role_of(s->tensors[i]->name) == (enum role)role
                           : role == ROLE_EXPERTS && s->pieces[i].expert)
                add_name(names, role_name((enum role)role), strlen(role_name((enum role)role)));
    for (size_t i = 0; s->tensors && i < s->n_pieces && stacks < STACKS_SHOWN; i++) {
        struct order order = order_of(s->tensors[i], 0);
        size_t before = names->used;

        if (order.section != 1 || !text_is_clean(order.label.data, order.label.size))
            continue;
        add_name(names, order.label.data, order.label.size);
        stacks += names->used != before;
    }
}

static int complain_of(const struct subject *s, const char *name, char *error, size_t size)
{
    char list[512] = "";
    struct names names = {list, 0, sizeof(list)};

    add_parts(s, &names);
    add_kinds(s, &names);
    return message_refuse(
        error, size,
        "--pin \"%s\": the model has no such part; it has %s; of layers also a range, "
        "as in blk.0-3, and of names a pattern, as in *norm*",
        name, list + 2);
}

static int take_pin(struct subject *s, const struct wanted *wanted, enum place_pin where,
                    char *error, size_t size)
{
    struct subject_pin *pin = &s->pins[s->n_pins];
    size_t n = 0;

    *pin = (struct subject_pin){.name = wanted->name, .where = where};
    for (size_t i = 0; i < s->n_pieces; i++) {
        if (!is_wanted(s, i, wanted))
            continue;
        s->pieces[i].pin = where;
        pin->bytes += s->pieces[i].bytes;
        n++;
    }
    if (!n)
        return complain_of(s, wanted->name, error, size);
    s->n_pins++;
    return 0;
}

int pin_take(struct subject *s, char *list, char *error, size_t size)
{
    char *item;

    while ((item = strsep(&list, ","))) {
        char *sign = strrchr(item, '=');
        struct wanted wanted = {.name = item, .is_pattern = strpbrk(item, "*?[") != NULL};
        bool on_host = sign && strcmp(sign + 1, "host") == 0;
        int r;

        if (!sign || sign == item || (!on_host && strcmp(sign + 1, "device") != 0))
            return message_refuse(error, size,
                                  "--pin \"%s\": say what is to be where, as in "
                                  "text_encoder=host or experts=device",
                                  item);
        if (s->n_pins == SUBJECT_MAX_PINS)
            return message_refuse(error, size, "--pin: more than %d", SUBJECT_MAX_PINS);
        *sign = '\0';
        if (!wanted.is_pattern)
            take_layers(&wanted);
        r = take_pin(s, &wanted, on_host ? PLACE_ON_HOST : PLACE_ON_DEVICE, error, size);
        if (r)
            return r;
    }
    return 0;
}
