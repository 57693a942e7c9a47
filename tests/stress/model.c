/* SPDX-License-Identifier: MIT */
#include "tests/stress/model.h"

#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/image.h"
#include "runtime/planfile.h"

/* read_tensor(sum, at, bytes): adds what it finds in every 64 KiB, and at the end. */
struct read_params {
    uint64_t sum;
    uint64_t at;
    uint64_t bytes;
};
static const size_t read_offsets[] = {0, 8, 16};
static const size_t read_sizes[] = {8, 8, 8};

static void read_run(const void *params)
{
    const struct read_params *p = params;
    uint32_t *sum = sim_kernel_access(p->sum, 4, 1);

    /* It is charged for every byte, and looks at some. */
    for (uint64_t i = 0; sum && i < p->bytes; i += 64 * KIB) {
        const uint32_t *word = sim_kernel_access(p->at + i, 64 * KIB, 0);

        if (!word)
            return;
        *sum = *sum * 33 + *word;
    }
}

/* write_through(array, index, value): writes to where the array's element points. */
struct through_params {
    uint64_t array;
    uint64_t index;
    uint32_t value;
};
static const size_t through_offsets[] = {0, 8, 16};
static const size_t through_sizes[] = {8, 8, 4};

static void through_run(const void *params)
{
    const struct through_params *p = params;
    const uint64_t *element = sim_kernel_access(p->array + 8 * p->index, 8, 0);
    uint32_t *word = element ? sim_kernel_access(*element, 4, 1) : NULL;

    if (word)
        *word = p->value;
}

static const struct sim_native_kernel read_kernel = {"read_tensor", 3, read_offsets, read_sizes,
                                                     read_run};
static const struct sim_native_kernel through_kernel = {"write_through", 3, through_offsets,
                                                        through_sizes, through_run};

uint32_t *mirror_at(struct model *m, uint64_t offset)
{
    return &m->mirror[offset / (64 * KIB)];
}

/* What its functions are loaded from. */
static const char code[] = "SIM-NATIVE\n.version 1";

static struct model start_empty(const char *vram, const char *ram)
{
    struct model m = {.expected = 0};
    uint32_t zero = 0;

    setenv("VRAMSHIM_ENGINE", "stream", 1);
    start_paged(vram, ram);
    m.code = load_code();
    sim_register_kernel(&read_kernel);
    sim_register_kernel(&through_kernel);
    ok(cuModuleLoadData(&m.code.module, code));
    ok(cuModuleGetFunction(&m.read, m.code.module, "read_tensor"));
    ok(cuModuleGetFunction(&m.through, m.code.module, "write_through"));
    m.stream = new_stream();
    m.weights = alloc(MODEL);
    ok(cuMemAlloc_v2(&m.sum, 256));
    ok(cuMemcpyHtoD_v2(m.sum, &zero, 4));
    m.mirror = calloc(MODEL / (64 * KIB), sizeof(*m.mirror));
    for (uint64_t i = 0; i < MODEL; i += 64 * KIB)
        *mirror_at(&m, i) = (uint32_t)(i * 2654435761u + 12345);
    return m;
}

void upload_pointers(struct model *m, uint64_t bytes)
{
    uint64_t *pointers = calloc(1, bytes);

    cr_assert_not_null(pointers);
    for (uint64_t i = 0; i < TENSORS; i++)
        pointers[i] = m->weights + i * TENSOR;
    ok(cuMemAlloc_v2(&m->pointers, bytes));
    ok(cuMemcpyHtoD_v2(m->pointers, pointers, bytes));
    free(pointers);
}

struct model start_model(const char *vram)
{
    struct model m = start_empty(vram, "256MiB");

    for (uint64_t i = 0; i < MODEL; i += 64 * KIB)
        ok(cuMemcpyHtoD_v2(m.weights + i, mirror_at(&m, i), 4));
    return m;
}

/* What a tensor has but for the words of the mirror. */
static void fill(uint32_t *words, uint32_t tensor, bool foreign)
{
    uint32_t word = tensor * 747796405u + foreign;

    for (uint64_t i = 0; i < TENSOR / sizeof(*words); i++) {
        word = word * 1664525u + 1013904223u;
        words[i] = word;
    }
    for (uint64_t i = 0; i < TENSOR; i += 64 * KIB)
        words[i / sizeof(*words)] = (uint32_t)((tensor * TENSOR + i) * 2654435761u + 12345);
}

/* Of the module that is made of such a text. */
static void add_function(struct roll *roll, const char *text, const char *name)
{
    uint64_t digest;
    char *known;

    image_identify(roll, text, false);
    image_attach(roll, name, &digest, IMAGE_HANDLE_FUNCTION);
    cr_assert_eq(image_function(&digest, &digest, &known), 0);
    cr_assert_eq(roll_add(roll, digest, known), 0);
    free(known);
    image_forget(roll);
}

/* How many tensors are pinned where, see start_pinned(). */
struct pinned {
    uint32_t on_host, on_device;
    bool beside, late;
};

static void pin(struct planfile_tensor *tensors, const struct pinned *pinned)
{
    for (uint32_t i = 0; i < TENSORS; i++) {
        tensors[i].pinned = i < pinned->on_host || i >= TENSORS - pinned->on_device;
        if (i < pinned->on_host)
            tensors[i].resident = 0;
        else if (tensors[i].pinned)
            tensors[i].resident = TENSOR;
    }
}

/* The first that are pinned, the pass, and the last. */
static void part(struct planfile *plan, const struct pinned *pinned)
{
    uint32_t n = TENSORS - pinned->on_host - pinned->on_device;

    if (!pinned->beside)
        return;
    plan->phases[0] = (struct planfile_phase){.name = "", .n = pinned->on_host};
    plan->phases[1] =
        (struct planfile_phase){.name = "", .is_main = true, .first = pinned->on_host, .n = n};
    plan->phases[2] =
        (struct planfile_phase){.name = "", .first = pinned->on_host + n, .n = pinned->on_device};
    plan->n_phases = 3;
}

/* `text`: the module whose functions the plan knows, NULL for none. */
static void write_plan(uint64_t device, uint32_t *words, const char *model, const char *text,
                       const struct pinned *pinned)
{
    struct planfile_file file = {.path = (char *)model, .bytes = MODEL};
    struct planfile_tensor tensors[TENSORS];
    struct planfile plan = {.model = "",
                            .card = "",
                            .device = device,
                            .chunk = PAGE,
                            .weights = MODEL,
                            .buffers = PLANNED_BUFFERS,
                            .files = &file,
                            .n_files = 1,
                            .phases = {{.name = "", .is_main = true, .n = TENSORS}},
                            .n_phases = 1,
                            .tensors = tensors,
                            .n_tensors = TENSORS};
    int fd = memfd_create("plan", 0);
    char path[64];
    FILE *out;

    fill(words, 0, false);
    file.digest = planfile_digest(words, PLANFILE_DIGEST);
    for (uint32_t i = 0; i < TENSORS; i++) {
        fill(words, i, false);
        tensors[i] = (struct planfile_tensor){
            .name = "",
            .tier = PLANFILE_STREAM,
            .offset = (uint64_t)i * TENSOR,
            .bytes = TENSOR,
            .resident = min_u64(TENSOR, (device - PLANNED_BUFFERS - 4 * PAGE) / TENSORS),
            .fingerprint = planfile_fingerprint(words, TENSOR),
        };
    }
    pin(tensors, pinned);
    part(&plan, pinned);
    cr_assert_eq(fchmod(fd, 0600), 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    setenv("VRAMSHIM_PLAN", path, 1);
    if (text) {
        add_function(&plan.functions, text, read_kernel.name);
        add_function(&plan.functions, text, through_kernel.name);
        add_function(&plan.functions, text, "write_tensor"); /* if there is one */
    }
    out = fdopen(dup(fd), "w");
    cr_assert_not_null(out);
    planfile_print(&plan, out);
    roll_fini(&plan.functions);
    cr_assert_eq(fclose(out), 0);
}

static struct model start_with(const char *vram, uint64_t device, bool foreign, const char *text,
                               struct pinned pinned)
{
    uint32_t *words = malloc(TENSOR);
    struct model m;

    cr_assert_not_null(words);
    write_plan(device, words, "/nowhere", text, &pinned);
    setenv("SIM_VRAM", "64MiB", 1);
    setenv("VRAMSHIM_VRAM", vram, 1);
    m = start_empty(vram, "256MiB");
    for (uint32_t i = 0; i < TENSORS - (pinned.late ? pinned.on_device : 0); i++) {
        fill(words, i, foreign);
        ok(cuMemcpyHtoD_v2(m.weights + (uint64_t)i * TENSOR, words, TENSOR));
    }
    free(words);
    return m;
}

struct model start_planned(const char *vram, uint64_t device, bool foreign)
{
    return start_with(vram, device, foreign, NULL, (struct pinned){0});
}

struct model start_pinned(const char *vram, uint64_t device, uint32_t on_host, uint32_t on_device)
{
    return start_with(vram, device, false, NULL, (struct pinned){on_host, on_device, false, false});
}

struct model start_pinned_beside(const char *vram, uint64_t device, uint32_t on_host,
                                 uint32_t on_device)
{
    return start_with(vram, device, false, NULL, (struct pinned){on_host, on_device, true, false});
}

struct model start_pinned_late(const char *vram, uint64_t device, uint32_t on_host,
                               uint32_t on_device)
{
    return start_with(vram, device, false, NULL, (struct pinned){on_host, on_device, true, true});
}

void upload_tensor(struct model *m, uint32_t tensor)
{
    uint32_t *words = malloc(TENSOR);

    cr_assert_not_null(words);
    fill(words, tensor, false);
    ok(cuMemcpyHtoD_v2(m->weights + (uint64_t)tensor * TENSOR, words, TENSOR));
    free(words);
}

struct model start_known(const char *vram, uint64_t device, bool other_code)
{
    return start_with(vram, device, false, other_code ? "SIM-NATIVE\n.version 2" : code,
                      (struct pinned){0});
}

struct model start_planned_file(const char *vram, const char *ram, uint64_t device)
{
    int fd = memfd_create("model", 0);
    uint32_t *words = malloc(TENSOR);
    struct model m;
    char path[64];

    cr_assert_not_null(words);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    for (uint32_t i = 0; i < TENSORS; i++) {
        fill(words, i, false);
        cr_assert_eq(write(fd, words, TENSOR), TENSOR);
    }
    write_plan(device, words, path, NULL, &(struct pinned){0});
    setenv("SIM_VRAM", "64MiB", 1);
    setenv("VRAMSHIM_VRAM", vram, 1);
    setenv("VRAMSHIM_SPILL_DIR", ".", 1);
    setenv("VRAMSHIM_SPILL_FORCE", "1", 1);
    m = start_empty(vram, ram);
    for (uint32_t i = 0; i < TENSORS; i++) {
        cr_assert_eq(pread(fd, words, TENSOR, (off_t)i * TENSOR), TENSOR);
        ok(cuMemcpyHtoD_v2(m.weights + (uint64_t)i * TENSOR, words, TENSOR));
    }
    free(words);
    return m;
}

bool is_home(const struct model *m, uint32_t tensor, enum tier tier)
{
    for (uint64_t i = 0; i < TENSOR; i += PAGE) {
        if (block_tier(residency_block(m->weights + (uint64_t)tensor * TENSOR + i)) != tier)
            return false;
    }
    return true;
}

void stop_model(struct model *m)
{
    ok(cuMemFree_v2(m->weights));
    free(m->mirror);
}

void expect_tensor(struct model *m, uint32_t tensor)
{
    for (uint64_t i = 0; i < TENSOR; i += 64 * KIB)
        m->expected = m->expected * 33 + *mirror_at(m, (uint64_t)tensor * TENSOR + i);
}

void read_tensor(struct model *m, uint32_t tensor)
{
    CUdeviceptr at = m->weights + (uint64_t)tensor * TENSOR;
    uint64_t bytes = TENSOR;
    void *params[] = {&m->sum, &at, &bytes};

    ok(cuLaunchKernel(m->read, 1, 1, 1, 1, 1, 1, 0, m->stream, params, NULL));
    expect_tensor(m, tensor);
}

void expect_sum(struct model *m)
{
    uint32_t sum;

    ok(cuStreamSynchronize(m->stream));
    ok(cuMemcpyDtoH_v2(&sum, m->sum, 4));
    cr_assert_eq(sum, m->expected);
}

uint64_t read_in_place(void)
{
    return stats_now().kernel_bytes_host - stats_get(bytes_compared);
}

void pass(struct model *m)
{
    for (uint32_t i = 0; i < TENSORS; i++)
        read_tensor(m, i);
    expect_sum(m);
}

void passes(struct model *m, int n)
{
    while (n--)
        pass(m);
}

void write_weight(struct model *m, enum way way, uint32_t tensor, uint32_t value)
{
    CUdeviceptr at = m->weights + (uint64_t)tensor * TENSOR;
    uint64_t index = tensor;
    void *params[] = {&m->pointers, &index, &value};

    *mirror_at(m, (uint64_t)tensor * TENSOR) = value;
    switch (way) {
    case BY_COPY:
        ok(cuStreamSynchronize(m->stream));
        ok(cuMemcpyHtoD_v2(at, &value, 4));
        break;
    case BY_COPY_IN_STREAM:
        ok(cuMemcpyHtoDAsync_v2(at, &value, 4, m->stream));
        break;
    case BY_MEMSET:
        ok(cuMemsetD32Async(at, value, 1, m->stream));
        break;
    case BY_KERNEL:
        ok(launch_fill(&m->code, at, 1, value, m->stream));
        break;
    default:
        ok(cuLaunchKernel(m->through, 1, 1, 1, 1, 1, 1, 0, m->stream, params, NULL));
    }
}

void write_while_reading(struct model *m, enum way way, uint32_t n)
{
    if (way == THROUGH_A_POINTER)
        upload_pointers(m, POINTERS_HIDDEN);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = i * 5 % TENSORS;

        for (uint32_t k = 0; k < TENSORS; k++) {
            read_tensor(m, k);
            if (k == at)
                write_weight(m, way, (at + TENSORS - 1 + i % 6) % TENSORS, 1000 + i);
        }
        expect_sum(m);
    }
    cr_expect_gt(stats_get(launches_redirected), 0);
    cr_expect_eq(stats_now().illegal_addresses, 0);
}
