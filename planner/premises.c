/* SPDX-License-Identifier: MIT */
/*
 * A plan for another machine is the same wherever it is made: then nothing of this one is looked
 * at, its environment included.
 */
#include "planner/premises.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "runtime/file.h"
#include "runtime/host_memory.h"
#include "runtime/spill.h"
#include "runtime/util.h"

/* Share of the model's bytes whose type is called so, or begins so. */
static double share_of(const struct model *model, const char *type)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < model->n_types; i++)
        if (strncmp(model->types[i].name, type, strlen(type)) == 0)
            bytes += model->types[i].bytes;
    return model->bytes ? (double)bytes / (double)model->bytes : 0;
}

/* The bytes of an embedding of tokens, where there is no tensor of its own for the output. */
static uint64_t tied_bytes(const struct model *model)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < model->input->n_tensors; i++) {
        const struct tensor *tensor = &model->input->tensors[i];

        if (text_equal(tensor->name, "output.weight") || text_equal(tensor->name, "lm_head.weight"))
            return 0;
        if (text_equal(tensor->name, "token_embd.weight") ||
            text_has(tensor->name, "embed_tokens.weight"))
            bytes = tensor->bytes;
    }
    return bytes;
}

/* The most that a component takes when it is on the device alone, as whole as frameworks have it.
 */
static uint64_t largest_component(const struct subject *s)
{
    uint64_t most = 0;

    for (size_t i = 0; s->kind == SUBJECT_IMAGE && i < s->n_phases; i++) {
        uint64_t bytes = s->phases[i].bytes + subject_written(s, i, NULL);

        most = bytes > most ? bytes : most;
    }
    return most;
}

static uint64_t values_saved(const struct subject *s)
{
    struct workload plain = s->work;
    struct demand demand;

    plain.values = kv_type_find("f16");
    if (s->measured.cache || s->work.values->numbers == 1)
        return 0;
    demand_judge(s->arch, &plain, &demand);
    return less_u64(demand.cache.bytes, s->demand.cache.bytes);
}

static void take_model(const struct answer *a, struct trap_facts *out)
{
    const struct subject *s = a->given->subject;

    out->experts = s->expert_bytes > 0;
    for (size_t i = 0; i < s->n_parts; i++)
        out->adapter |= s->parts[i].role == INPUT_ADAPTER;
    out->quantised_cache = s->work.keys->numbers > 1 && s->demand.cache.bytes > 0;
    out->values_saved = values_saved(s);
    out->component = largest_component(s);
    if (!a->model)
        return;
    out->bf16 = share_of(a->model, "BF16");
    out->float8 = share_of(a->model, "F8_");
    out->tied = s->kind == SUBJECT_LANGUAGE ? tied_bytes(a->model) : 0;
}

static bool is_ours(const struct strategy_result *way)
{
    return way->kind == STRATEGY_OURS && strcmp(way->name, "resident") != 0;
}

static void take_way(const struct answer *a, struct trap_facts *out)
{
    const struct strategy_result *way = strategies_taken(a->strategies);

    out->program = a->given->engine ? a->given->engine->name : NULL;
    out->planned = true;
    out->library = way && is_ours(way) && !a->without;
    out->own_offload = way && way->kind == STRATEGY_ENGINE;
    if (way && (out->library || out->own_offload)) {
        out->host = way->host;
        out->disk = way->disk;
    }
    if (out->library)
        out->with = (way->low + way->high) / 2;
    for (size_t i = 0; i < a->strategies->n; i++) {
        const struct strategy_result *r = &a->strategies->list[i];

        if (r->kind == STRATEGY_ENGINE && r->fits)
            out->without = (r->low + r->high) / 2;
    }
}

static void take_machine(const struct machine *m, struct trap_facts *out)
{
    out->device = m->device;
    out->unified = m->unified;
    out->capability = m->capability;
    out->divided = strstr(m->card, " MIG ") != NULL;
    out->link_rate = m->link_rate;
    out->pageable_rate = m->pageable_rate;
    out->disk_rate = m->disk_rate;
}

static bool is_wsl(void)
{
    FILE *file = fopen("/proc/sys/kernel/osrelease", "re");
    char line[256] = "";
    bool read = file && fgets(line, sizeof(line), file);

    if (file)
        fclose(file);
    return read && strcasestr(line, "microsoft");
}

static void take_disk(const char *model, struct trap_facts *out)
{
    char folder[256];
    struct statfs system;
    struct stat stat_of;
    enum spill_place place;

    machine_spill_folder(folder, sizeof(folder));
    if (statfs(folder, &system) != 0 || stat(folder, &stat_of) != 0)
        return;
    place = spill_place((uint64_t)system.f_type, stat_of.st_dev, "");
    out->slow_disk = place == SPILL_ROTATING || place == SPILL_NETWORK;
    out->through_cache =
        !file_is_direct(folder, O_TMPFILE | O_RDWR) || (model && !file_is_direct(model, O_RDONLY));
}

static void take_this_machine(const struct answer *a, struct trap_facts *out)
{
    const struct machine *m = &a->given->machine;
    struct rlimit limit = {.rlim_cur = RLIM_INFINITY};

    out->here = true;
    signs_read_environment(environ, &out->signs);
    out->wsl = is_wsl();
    (void)getrlimit(RLIMIT_MEMLOCK, &limit);
    out->lockable = limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
    out->available = host_memory_available("");
    out->others = m->measured ? less_u64(m->memory, m->free) : 0;
    if (out->disk)
        take_disk(a->path, out);
}

void premises_gather(const struct answer *answer, struct trap_facts *out)
{
    memset(out, 0, sizeof(*out));
    take_model(answer, out);
    take_way(answer, out);
    take_machine(&answer->given->machine, out);
    if (!answer->given->machine.what_if)
        take_this_machine(answer, out);
}
