/* SPDX-License-Identifier: MIT */
/*
 * Folders of models.
 *
 * What is in a folder is known by name. Pickles are programs: they are never opened, only
 * mentioned. model_index.json names the components of an image model, which are folders in this
 * one; like every name that a file gives, those have no other folder in them.
 */
#include "planner/folder.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "planner/arch_config.h"
#include "planner/document.h"
#include "planner/families.h"
#include "planner/listing.h"
#include "planner/shards.h"
#include "planner/split.h"
#include "runtime/util.h"

enum {
    REVISION_SIZE = 40,
};

static bool ends(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}

static char *join(const char *path, const char *name)
{
    char *joined;

    return asprintf(&joined, "%s/%s", path, name) < 0 ? NULL : joined;
}

/* What was not chosen, for a person to know. */
static void remark(struct input *input, const struct listing *listing, const char *chosen)
{
    const char *first = NULL;
    size_t pickles = listing_count(listing, LISTING_PICKLE, &first);

    if (input->remark[0])
        return;
    for (size_t i = 0; i < listing->n; i++)
        if (listing_kind(chosen) == LISTING_WEIGHTS &&
            listing_kind(listing->names[i]) == LISTING_WEIGHTS &&
            strcmp(listing->names[i], chosen) != 0) {
            snprintf(input->remark, sizeof(input->remark), "%s was read; %s was not",
                     text_show((struct text){chosen, strlen(chosen)}).text,
                     text_show((struct text){listing->names[i], strlen(listing->names[i])}).text);
            return;
        }
    if (listing_count(listing, LISTING_GGUF, &first))
        snprintf(input->remark, sizeof(input->remark), "%s was read; %s was not",
                 text_show((struct text){chosen, strlen(chosen)}).text,
                 text_show((struct text){first, strlen(first)}).text);
    else if (pickles)
        snprintf(input->remark, sizeof(input->remark),
                 "%zu pickles beside the weights were not read", pickles);
}

/* The weights of a folder, which may have none. */
static int fill_weights(struct input *input, const char *path, const struct listing *listing,
                        struct message *message)
{
    const char *chosen = listing_weights(listing);
    char *file;
    int r;

    if (!chosen)
        return listing_fail(listing, path, message);
    file = join(path, chosen);
    if (!file)
        return message_no_memory(message);
    r = listing_kind(chosen) == LISTING_INDEX ? shards_fill_index(input, file, message)
                                              : shards_fill_file(input, file, message);
    if (!r)
        remark(input, listing, chosen);
    free(file);
    return r;
}

static int take_config(struct input *input, json_t *config, const char *path,
                       struct message *message)
{
    struct arch *arch = &input->arch;

    arch_read_config(config, arch);
    if (arch->verdict == ARCH_WRONG)
        return message_fail(message, path, "%s %s", arch->missing, arch->wrong);
    if (arch->name[0])
        input->architecture = (struct text){arch->name, strlen(arch->name)};
    return 0;
}

static int read_config(struct input *input, const char *path, struct message *message)
{
    json_t *config;
    int r = document_read(path, message, &config);

    if (r == -ENOENT)
        return 0;
    if (r)
        return r;
    r = take_config(input, config, path, message);
    json_decref(config);
    return r;
}

int folder_describe(struct input *input, struct message *message)
{
    const char *slash = strrchr(input->path, '/');
    char *path;
    int r;

    if (input->arch.verdict != ARCH_UNNAMED || input->role != INPUT_MODEL)
        return 0;
    if (asprintf(&path, "%.*sconfig.json", slash ? (int)(slash - input->path) + 1 : 0,
                 input->path) < 0)
        return message_no_memory(message);
    r = read_config(input, path, message);
    free(path);
    return r;
}

/* A component, or a model with its config.json. */
static int fill_folder(struct input *input, struct message *message)
{
    struct listing listing = {0};
    char *config = join(input->path, "config.json");
    int r = config ? listing_read(input->path, message, &listing) : message_no_memory(message);

    r = r ? r : fill_weights(input, input->path, &listing, message);
    if (!r && input->role == INPUT_MODEL)
        r = read_config(input, config, message);
    free(config);
    listing_fini(&listing);
    return r;
}

static enum input_role role_of_component(const char *name)
{
    static const struct {
        const char *start;
        enum input_role role;
    } rows[] = {
        {"transformer_2", INPUT_SECOND}, {"unet_2", INPUT_SECOND}, {"transformer", INPUT_MODEL},
        {"unet", INPUT_MODEL},           {"prior", INPUT_MODEL},   {"vae", INPUT_DECODER},
        {"vqvae", INPUT_DECODER},        {"movq", INPUT_DECODER},  {"vocoder", INPUT_DECODER},
        {"safety", INPUT_DECODER},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (strncmp(name, rows[i].start, strlen(rows[i].start)) == 0)
            return rows[i].role;
    return INPUT_ENCODER;
}

/* Classes that have no weights. */
static bool has_weights(const char *class)
{
    static const char *const ends_without[] = {"Tokenizer",       "TokenizerFast", "Scheduler",
                                               "Processor",       "ProcessorFast", "Extractor",
                                               "FeatureExtractor"};

    for (size_t i = 0; i < ARRAY_SIZE(ends_without); i++)
        if (ends(class, ends_without[i]))
            return false;
    return !strstr(class, "Scheduler") && !strstr(class, "Tokenizer");
}

/* What kind of image model it is, by the classes of the pipeline and the component. */
static void name_family(struct input *input, const char *pipeline, const char *class)
{
    const struct family *family = family_of_class((struct text){class, strlen(class)});
    const char *name = family ? family->name : class;

    if (family && strcmp(name, "sd1") == 0 && strncmp(pipeline, "StableDiffusionXL", 17) == 0)
        name = "sdxl";
    memset(&input->arch, 0, sizeof(input->arch));
    input->arch.verdict = ARCH_UNKNOWN;
    snprintf(input->arch.name, sizeof(input->arch.name), "%s", name);
    input->architecture = (struct text){input->arch.name, strlen(input->arch.name)};
}

static int open_component(struct inputs *inputs, const char *folder, const char *name,
                          const char *pipeline, const char *class, struct message *message)
{
    char *path = join(folder, name);
    struct input *input = path ? input_new(path) : NULL;
    int r;

    free(path);
    if (!input)
        return message_no_memory(message);
    input->role = role_of_component(name);
    input->format = "diffusers";
    r = fill_folder(input, message);
    if (r) {
        input_free(input);
        return r;
    }
    input->role = role_of_component(name);
    input->format = "diffusers";
    if (input->role == INPUT_MODEL)
        name_family(input, pipeline, class);
    return inputs_append(inputs, input, message);
}

/* [library, class], or nulls for one that the model does without. */
static int take_component(struct inputs *inputs, const char *folder, const char *name,
                          const json_t *value, const char *pipeline, struct message *message)
{
    const char *library = json_string_value(json_array_get(value, 0));
    const char *class = json_string_value(json_array_get(value, 1));
    struct text_shown shown = text_show((struct text){name, strlen(name)});
    bool is_null = json_is_null(json_array_get(value, 0)) && json_is_null(json_array_get(value, 1));

    if (json_array_size(value) != 2 || (!is_null && (!library || !class)))
        return message_fail(message, folder,
                            "model_index.json: %s is neither [library, class] nor [null, null]",
                            shown.text);
    if (is_null || !has_weights(class))
        return 0;
    if (!*name || strlen(name) > NAME_MAX || strchr(name, '/') || name[0] == '.' ||
        !text_is_clean(name, strlen(name)))
        return message_fail(message, folder, "model_index.json: \"%s\" is no name of a component",
                            shown.text);
    return open_component(inputs, folder, name, pipeline, class, message);
}

static int open_pipeline(struct inputs *inputs, const char *folder, json_t *root,
                         struct message *message)
{
    const char *pipeline = json_string_value(json_object_get(root, "_class_name"));
    size_t before = inputs->n;
    const char *name;
    json_t *value;
    int r = 0;

    json_object_foreach(root, name, value)
    {
        if (!r && name[0] != '_' && json_is_array(value))
            r = take_component(inputs, folder, name, value, pipeline ? pipeline : "", message);
    }
    if (!r && inputs->n == before)
        r = message_fail(message, folder, "model_index.json names no component with weights");
    return r;
}

static int open_model(struct inputs *inputs, const char *folder, struct message *message)
{
    struct input *input = input_new(folder);
    int r = input ? fill_folder(input, message) : message_no_memory(message);

    if (r) {
        input_free(input);
        return r;
    }
    return inputs_append(inputs, input, message);
}

/* Without what only goes with a model. */
static bool is_accessory(const char *name)
{
    return strncmp(name, "mmproj", 6) == 0 || strncmp(name, "mtp-", 4) == 0 ||
           strstr(name, "-mmproj");
}

static bool is_later_part(const char *name)
{
    const char *of = strstr(name, "-of-");

    return of && of - name >= 6 && strncmp(of - 6, "-00001", 6) != 0;
}

static int open_gguf(struct inputs *inputs, const char *folder, struct listing *listing,
                     struct message *message)
{
    const char *found = NULL;
    size_t n = 0;
    char *path;
    int r;

    for (size_t i = 0; i < listing->n; i++)
        if (listing_kind(listing->names[i]) == LISTING_GGUF && !is_accessory(listing->names[i]) &&
            !is_later_part(listing->names[i])) {
            found = n++ ? found : listing->names[i];
        }
    if (n != 1)
        return listing_fail(listing, folder, message);
    path = join(folder, found);
    r = path ? split_open(inputs, path, message) : message_no_memory(message);
    free(path);
    return r;
}

/* Components, weights with a configuration, or GGUF files. */
static int open_listed(struct inputs *inputs, const char *folder, struct listing *listing,
                       struct message *message)
{
    const char *first = NULL;
    char *path = join(folder, "model_index.json");
    json_t *root = NULL;
    int r = path ? document_read(path, message, &root) : message_no_memory(message);

    free(path);
    if (r == 0) {
        r = open_pipeline(inputs, folder, root, message);
        json_decref(root);
        return r;
    }
    if (r != -ENOENT)
        return r;
    return !listing_weights(listing) && listing_count(listing, LISTING_GGUF, &first)
               ? open_gguf(inputs, folder, listing, message)
               : open_model(inputs, folder, message);
}

/* Whether it is the name of a revision: digits, nothing that leads elsewhere. */
static bool is_revision(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!isxdigit((unsigned char)text[i]))
            return false;
    return size == REVISION_SIZE;
}

/* A download cache has the revision that is current in refs/main, and the files of each below
 * snapshots. NULL: this is no such folder, or memory is short. */
static char *current_snapshot(const char *folder)
{
    char *path = join(folder, "refs/main"), *snapshot = NULL;
    struct source source = {.fd = -1};
    char error[256];

    if (path && source_open(path, error, sizeof(error), &source) == 0 &&
        source.bytes == REVISION_SIZE && source_fill(&source, REVISION_SIZE) == 0 &&
        is_revision((const char *)source.head, REVISION_SIZE) &&
        asprintf(&snapshot, "%s/snapshots/%.*s", folder, REVISION_SIZE, source.head) < 0)
        snapshot = NULL;
    source_fini(&source);
    free(path);
    return snapshot;
}

/* The only revision of a cache that does not say which is current. */
static char *only_snapshot(const char *folder)
{
    char *snapshots = join(folder, "snapshots"), *found = NULL;
    DIR *dir = snapshots ? opendir(snapshots) : NULL;
    struct dirent *entry;
    size_t n = 0;

    while (dir && (entry = readdir(dir))) {
        if (!is_revision(entry->d_name, strlen(entry->d_name)) || n++)
            continue;
        found = join(snapshots, entry->d_name);
    }
    if (dir)
        closedir(dir);
    free(snapshots);
    if (n == 1)
        return found;
    free(found);
    return NULL;
}

int folder_open(struct inputs *inputs, const char *path, struct message *message)
{
    struct listing listing = {0};
    size_t n = strlen(path);
    char *folder, *snapshot;
    int r;

    while (n > 1 && path[n - 1] == '/')
        n--;
    folder = strndup(path, n);
    snapshot = folder ? current_snapshot(folder) : NULL;
    if (folder && !snapshot)
        snapshot = only_snapshot(folder);
    if (snapshot) {
        free(folder);
        folder = snapshot;
    }
    r = folder ? listing_read(folder, message, &listing) : message_no_memory(message);
    r = r ? r : open_listed(inputs, folder, &listing, message);
    listing_fini(&listing);
    free(folder);
    return r;
}

int folder_open_file(struct inputs *inputs, const char *path, struct message *message)
{
    const char *slash = strrchr(path, '/');
    const char *name = basename(path);
    char *folder;
    int r;

    if (strcmp(name, "config.json") != 0 && strcmp(name, "model_index.json") != 0)
        return message_fail(message, path,
                            "this is JSON, but neither an index of weights nor a configuration");
    folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    r = folder ? folder_open(inputs, folder, message) : message_no_memory(message);
    free(folder);
    return r;
}
