/* SPDX-License-Identifier: MIT */
/*
 * An index of weights is preferred to a single file, one without variant (fp16) to one with.
 */
#include "planner/listing.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "planner/text.h"
#include "runtime/util.h"

enum {
    MAX_LISTED = 20000,
};

static bool ends(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}

enum listing_kind listing_kind(const char *name)
{
    static const struct {
        const char *end;
        enum listing_kind kind;
    } rows[] = {

        {".safetensors", LISTING_WEIGHTS}, {".gguf", LISTING_GGUF},
        {".bin", LISTING_PICKLE},          {".pt", LISTING_PICKLE},
        {".pth", LISTING_PICKLE},          {".ckpt", LISTING_PICKLE},
        {".pkl", LISTING_PICKLE},          {".incomplete", LISTING_UNFINISHED},
        {".part", LISTING_UNFINISHED},     {".crdownload", LISTING_UNFINISHED},
    };

    /* The variant may stand before the ending, or in it: model.safetensors.index.fp16.json */
    if (name[0] != '.' && strstr(name, ".safetensors.index.") && ends(name, ".json"))
        return LISTING_INDEX;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (name[0] != '.' && ends(name, rows[i].end))
            return rows[i].kind;
    return LISTING_OTHER;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void listing_fini(struct listing *listing)
{
    for (size_t i = 0; i < listing->n; i++)
        free(listing->names[i]);
    free(listing->names);
}

static int listing_add(struct listing *listing, const char *name)
{
    if (listing->n == listing->room) {
        size_t room = listing->room ? 2 * listing->room : 32;
        char **grown = reallocarray(listing->names, room, sizeof(char *));

        if (!grown)
            return -ENOMEM;
        listing->names = grown;
        listing->room = room;
    }
    listing->names[listing->n] = strdup(name);
    if (!listing->names[listing->n])
        return -ENOMEM;
    listing->n++;
    return 0;
}

int listing_read(const char *path, struct message *message, struct listing *out)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    int r = 0;

    if (!dir) {
        r = -errno;
        message_fail(message, path, "%s", strerror(errno));
        return r;
    }
    while (!r && (entry = readdir(dir)))
        if (listing_kind(entry->d_name) != LISTING_OTHER && out->n < MAX_LISTED)
            r = listing_add(out, entry->d_name);
    closedir(dir);
    if (r)
        return message_no_memory(message);
    if (out->n)
        qsort(out->names, out->n, sizeof(*out->names), by_text);
    return 0;
}

size_t listing_count(const struct listing *listing, enum listing_kind kind, const char **first)
{
    size_t n = 0;

    for (size_t i = listing->n; i-- > 0;)
        if (listing_kind(listing->names[i]) == kind) {
            *first = listing->names[i];
            n++;
        }
    return n;
}

static bool is_listed(const struct listing *listing, const char *name)
{
    for (size_t i = 0; i < listing->n; i++)
        if (strcmp(listing->names[i], name) == 0)
            return true;
    return false;
}

const char *listing_weights(const struct listing *listing)
{
    static const char *const usual[] = {
        "model.safetensors.index.json",
        "model.safetensors",
        "diffusion_pytorch_model.safetensors.index.json",
        "diffusion_pytorch_model.safetensors",
        "adapter_model.safetensors",
        "consolidated.safetensors",
        "pytorch_lora_weights.safetensors",
    };
    const char *first = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(usual); i++)
        if (is_listed(listing, usual[i]))
            return usual[i];
    if (listing_count(listing, LISTING_INDEX, &first) > 0)
        return first;
    return listing_count(listing, LISTING_WEIGHTS, &first) == 1 ? first : NULL;
}

/* What the index of these parts is called: of model-00001-of-00003.safetensors,
 * model.safetensors.index.json. False: it is no part. */
static bool index_name(const char *part, char *out, size_t size)
{
    const char *of = strstr(part, "-of-");

    if (!of || of - part < 6 || of[-6] != '-')
        return false;
    snprintf(out, size, "%.*s.safetensors.index.json", (int)(of - part - 6), part);
    return true;
}

int listing_fail(const struct listing *listing, const char *path, struct message *message)
{
    const char *first = NULL;
    struct text_shown shown;
    char index[NAME_MAX + 32];
    size_t n = listing_count(listing, LISTING_WEIGHTS, &first);

    if (n && index_name(first, index, sizeof(index)))
        return message_fail(message, path, "the index of the model's parts is missing; get %s too",
                            text_show((struct text){index, strlen(index)}).text);
    if (n == 0)
        n = listing_count(listing, LISTING_GGUF, &first);
    shown = text_show((struct text){first, first ? strlen(first) : 0});
    if (n > 1)
        return message_fail(message, path,
                            "there are %zu models in this folder; name one, such as %s", n,
                            shown.text);
    if (listing_count(listing, LISTING_UNFINISHED, &first))
        return message_fail(message, path,
                            "the download of this model is not finished; wait, or start it again");
    if (listing_count(listing, LISTING_PICKLE, &first))
        return message_fail(message, path,
                            "there are only pickles in this folder (%s), which are programs and "
                            "are not read; convert them to safetensors",
                            text_show((struct text){first, strlen(first)}).text);
    return message_fail(message, path, "there is no model in this folder");
}
