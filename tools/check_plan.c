/* SPDX-License-Identifier: MIT */
/* The check of a plan: whether it is of the model that is there, and of this machine. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "planner/text.h"
#include "runtime/host_memory.h"
#include "runtime/planfile.h"
#include "runtime/util.h"
#include "tools/patient.h"

struct reading {
    const struct planfile *plan;
    struct finding *out;
    uint8_t head[PLANFILE_DIGEST];
};

/* The file as it was when the plan was made; -1 after saying what it is instead. */
static int open_file(struct reading *reading, const struct planfile_file *file)
{
    int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat status;
    ssize_t n;

    if (fd < 0) {
        find(reading->out, VERDICT_FAIL, "%.200s: %s", file->path, strerror(errno));
        return -1;
    }
    if (fstat(fd, &status) != 0 || (uint64_t)status.st_size != file->bytes) {
        find(reading->out, VERDICT_FAIL, "%.200s has another size than when it was planned",
             file->path);
        close(fd);
        return -1;
    }
    n = pread(fd, reading->head, sizeof(reading->head), 0);
    if (n == (ssize_t)min_u64(file->bytes, PLANFILE_DIGEST) &&
        planfile_digest(reading->head, (size_t)n) == file->digest)
        return fd;
    find(reading->out, VERDICT_FAIL, "%.200s begins otherwise than when it was planned",
         file->path);
    close(fd);
    return -1;
}

static bool is_as_planned(struct reading *reading, int fd, const struct planfile_tensor *tensor)
{
    size_t size = min_u64(tensor->bytes, PLANFILE_HEAD);

    return pread(fd, reading->head, size, (off_t)tensor->offset) == (ssize_t)size &&
           planfile_fingerprint(reading->head, size) == tensor->fingerprint;
}

static bool check_file(struct reading *reading, uint32_t number)
{
    const struct planfile *plan = reading->plan;
    int fd = open_file(reading, &plan->files[number]);
    bool good = fd >= 0;

    for (uint32_t i = 0; i < plan->n_tensors && good; i++) {
        const struct planfile_tensor *tensor = &plan->tensors[i];

        good = tensor->file != number || !tensor->fingerprint || is_as_planned(reading, fd, tensor);
        if (!good)
            find(reading->out, VERDICT_FAIL, "%.160s: %.80s is not what was planned with",
                 plan->files[number].path, tensor->name);
    }
    if (fd >= 0)
        close(fd);
    return good;
}

static void check_machine(const struct patient *p, const struct planfile *plan, struct finding *out)
{
    uint64_t host = host_memory_total(p->root);
    char planned[32], there[32], card[96];

    text_escape(plan->card, strlen(plan->card), card, sizeof(card));
    if (p->has_card && !planfile_is_for(plan, p->gpu.name))
        find(out, VERDICT_WARN, "it is for another card (%s)", card);
    else if (p->has_card && plan->device > p->gpu.total)
        find(out, VERDICT_WARN, "it is for %s of the card's memory, of which there is %s",
             text_size(plan->device, planned), text_size(p->gpu.total, there));
    else if (host && plan->host > host)
        find(out, VERDICT_WARN, "it is for %s of host memory, of which there is %s",
             text_size(plan->host, planned), text_size(host, there));
    else
        find(out, VERDICT_PASS, "%u tensors of %u files are as they were planned", plan->n_tensors,
             plan->n_files);
}

void check_plan(const struct patient *p, struct finding *out)
{
    const char *path = p->options->plan ? p->options->plan : getenv("VRAMSHIM_PLAN");
    static struct reading reading;
    struct planfile *plan;
    char error[256];

    if (!path || !*path) {
        find(out, VERDICT_SKIP, "no plan is named (VRAMSHIM_PLAN, or --plan here)");
        return;
    }
    if (planfile_load(path, error, sizeof(error), &plan)) {
        find(out, VERDICT_FAIL, "%s", error);
        return;
    }
    reading.plan = plan;
    reading.out = out;
    for (uint32_t i = 0; i < plan->n_files; i++)
        if (!check_file(&reading, i))
            break;
    if (!*out->says)
        check_machine(p, plan, out);
    planfile_free(plan);
}
