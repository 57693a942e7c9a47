/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer target: what the planner makes of a file beyond its format: the metadata of a GGUF
 * file, an index, a config.json. No bytes may make it crash, hang or allocate out of proportion,
 * and what it says is one line without control characters. Run by tests/fuzz.sh.
 *
 * The first byte says what the rest is.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "planner/arch_config.h"
#include "planner/demand.h"
#include "planner/document.h"
#include "planner/model.h"
#include "planner/shards.h"
#include "planner/split.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void judge(const struct arch *arch)
{
    struct workload work = WORKLOAD_DEFAULT;
    struct demand demand;

    demand_judge(arch, &work, &demand);
    (void)demand_sum(&demand, NULL);
}

static void check(int r, const struct message *message)
{
    if (r && (!message->text[0] || strpbrk(message->text, "\n\r\x1b")))
        abort();
}

static void try_inputs(const char *path,
                       int (*open)(struct inputs *, const char *, struct message *))
{
    static struct model model;
    struct inputs inputs = {0};
    struct message message = {""};
    int r = open(&inputs, path, &message);

    check(r, &message);
    (void)inputs_sort(&inputs);
    for (size_t i = 0; i < inputs.n; i++) {
        model_init(&model, inputs.list[i]);
        judge(&inputs.list[i]->arch);
    }
    inputs_fini(&inputs);
}

static void try_config(const char *path)
{
    static struct arch arch;
    struct message message = {""};
    json_t *root = NULL;
    int r = document_read(path, &message, &root);

    check(r, &message);
    if (r)
        return;
    arch_read_config(root, &arch);
    judge(&arch);
    json_decref(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    static char path[64];

    if (fd < 0) {
        fd = memfd_create("fuzz", MFD_CLOEXEC);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    }
    if (size == 0 || ftruncate(fd, 0) || pwrite(fd, data + 1, size - 1, 0) < 0)
        return 0;
    switch (data[0] % 3) {
    case 0:
        try_inputs(path, split_open);
        break;
    case 1:
        try_inputs(path, shards_open_index);
        break;
    default:
        try_config(path);
        break;
    }
    return 0;
}
