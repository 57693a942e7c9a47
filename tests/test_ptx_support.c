/* SPDX-License-Identifier: MIT */

/* A fake MMU with a handful of allocations, and launching on it. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/sim/mmu.h"
#include "tests/test_ptx_support.h"

#define N_ALLOCATIONS 64

static struct {
    uint64_t address;
    size_t bytes;
    uint8_t *host;
    uint64_t accounted;
    bool read_only;
} allocations[N_ALLOCATIONS];
static size_t n_allocations;
static uint64_t next_address = FAKE_BASE;
static uint64_t translations;
unsigned int fake_threads = 1;
bool fake_cooperative;
uint64_t fake_instructions;

uint64_t fake_alloc(size_t bytes)
{
    size_t i = n_allocations++;
    size_t pages = bytes / SIM_PAGE_BYTES + 1;

    if (i >= N_ALLOCATIONS)
        abort();
    allocations[i].address = next_address;
    allocations[i].bytes = bytes;
    allocations[i].host = calloc(1, bytes ? bytes : 1);
    allocations[i].accounted = 0;
    allocations[i].read_only = false;
    next_address += (pages + 1) * SIM_PAGE_BYTES;
    return allocations[i].address;
}

static size_t find(uint64_t address, size_t bytes)
{
    for (size_t i = 0; i < n_allocations; i++) {
        uint64_t offset = address - allocations[i].address;
        if (address >= allocations[i].address && offset <= allocations[i].bytes &&
            bytes <= allocations[i].bytes - offset)
            return i;
    }
    return N_ALLOCATIONS;
}

void *fake_host(uint64_t address)
{
    size_t i = find(address, 1);

    if (i == N_ALLOCATIONS)
        abort();
    return allocations[i].host + (address - allocations[i].address);
}

uint64_t fake_upload(const void *data, size_t bytes)
{
    uint64_t address = fake_alloc(bytes);

    memcpy(fake_host(address), data, bytes);
    return address;
}

void fake_protect(uint64_t address)
{
    allocations[find(address, 1)].read_only = true;
}

static char printed[2][65536];
static size_t n_printed[2];

void sim_print(bool is_error, const char *text, size_t bytes)
{
    size_t room = sizeof(printed[0]) - 1 - n_printed[is_error];

    if (bytes > room)
        bytes = room;
    memcpy(printed[is_error] + n_printed[is_error], text, bytes);
    n_printed[is_error] += bytes;
    printed[is_error][n_printed[is_error]] = '\0';
}

const char *fake_printed(bool is_error)
{
    return printed[is_error];
}

void fake_reset(void)
{
    for (int i = 0; i < 2; i++) {
        n_printed[i] = 0;
        printed[i][0] = '\0';
    }
    for (size_t i = 0; i < n_allocations; i++)
        free(allocations[i].host);
    n_allocations = 0;
    next_address = FAKE_BASE;
    translations = 0;
}

uint64_t fake_accounted(uint64_t address)
{
    return allocations[find(address, 1)].accounted;
}

uint64_t fake_translations(void)
{
    return translations;
}

void *sim_mmu_translate(uint64_t address, size_t bytes, bool write, uint64_t *valid_from,
                        uint64_t *valid_to)
{
    size_t i = find(address, bytes);

    __atomic_add_fetch(&translations, 1, __ATOMIC_RELAXED);
    if (i == N_ALLOCATIONS || (write && allocations[i].read_only) ||
        address / SIM_PAGE_BYTES != (address + bytes - 1) / SIM_PAGE_BYTES)
        return NULL;
    *valid_from = allocations[i].address;
    *valid_to = allocations[i].address + allocations[i].bytes;
    return allocations[i].host + (address - allocations[i].address);
}

void sim_mmu_account(uint64_t address, uint64_t bytes)
{
    size_t i = find(address, 1);

    if (i == N_ALLOCATIONS)
        abort();
    __atomic_add_fetch(&allocations[i].accounted, bytes, __ATOMIC_RELAXED);
}

/* PTX_DUMP names a folder that receives every text, for other tools to look at. */
static void dump(const char *text)
{
    static unsigned int n;
    const char *folder = getenv("PTX_DUMP");
    char path[4096];
    FILE *file;

    if (!folder)
        return;
    snprintf(path, sizeof(path), "%s/%d.%u.ptx", folder, (int)getpid(), n++);
    file = fopen(path, "w");
    if (!file || fputs(text, file) < 0 || fclose(file))
        abort();
}

struct ptx_module *fake_load(const char *text)
{
    char error[256];
    struct ptx_module *module = ptx_module_parse(text, error, sizeof(error));

    dump(text);

    if (!module) {
        fprintf(stderr, "%s\n", error);
        abort();
    }
    for (size_t i = 0; i < ptx_module_n_variables(module); i++) {
        struct ptx_variable *variable = ptx_module_variable(module, i);
        variable->address = fake_alloc(variable->bytes);
    }
    ptx_module_relocate(module);
    for (size_t i = 0; i < ptx_module_n_variables(module); i++) {
        struct ptx_variable *variable = ptx_module_variable(module, i);
        memcpy(fake_host(variable->address), variable->initialiser, variable->bytes);
    }
    return module;
}

struct ptx_module *fake_load_body(const char *body)
{
    static const char head[] = ".version 8.7\n.target sm_90\n.address_size 64\n"
                               ".visible .entry k(.param .u64 p0, .param .u64 p1,"
                               " .param .u64 p2, .param .u64 p3)\n{\n"
                               ".reg .pred %p<100>; .reg .b16 %h<100>; .reg .b32 %r<100>;"
                               ".reg .f32 %f<100>; .reg .b64 %rd<100>; .reg .f64 %fd<100>;\n";
    size_t bytes = sizeof(head) + strlen(body) + 8;
    char *text = malloc(bytes);
    struct ptx_module *module;

    if (!text)
        abort();
    snprintf(text, bytes, "%s%s\n}\n", head, body);
    module = fake_load(text);
    free(text);
    return module;
}

enum ptx_outcome fake_run(struct ptx_module *module, const char *name, unsigned int blocks,
                          unsigned int threads, size_t shared_bytes, struct ptx_fault *fault,
                          const uint64_t *params)
{
    const struct ptx_kernel *kernel = ptx_module_kernel(module, name);
    struct ptx_launch launch = {
        .grid = {blocks, 1, 1},
        .block = {threads, 1, 1},
        .dynamic_shared_bytes = shared_bytes,
        .threads = fake_threads,
        .cooperative = fake_cooperative,
        .params = params,
    };

    if (!kernel)
        abort();
    return ptx_kernel_run(kernel, &launch, fault, &fake_instructions);
}

char *fake_read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    size_t size = 0;

    if (!file || getdelim(&text, &size, '\0', file) < 0) {
        perror(path);
        abort();
    }
    fclose(file);
    return text;
}
