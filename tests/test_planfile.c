/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/fields.h"
#include "runtime/planfile.h"
#include "runtime/util.h"

enum {
    ROUNDS = 300,
};

static uint64_t state = 88172645463325252u;

static uint64_t dice(uint64_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (state >> 11) % n;
}

#define HEAD                                                                                       \
    "vramshim-plan 2\nmodel \"red \\x1b[31m\"\nmachine 100 200 16 \"a card\"\n"                    \
    "predict 60 3 4 5 70 6\nfile 1000 00000000000000ff \"/models/a.gguf\"\n"
#define TENSORS                                                                                    \
    "phase main \"decode\"\n"                                                                      \
    "tensor 0 100 40 0123456789abcdef stream 10 \"blk.0.attn_q.weight\"\n"                         \
    "tensor 0 140 20 - device 20 \"norm\" pinned\n"
#define FUNCTIONS                                                                                  \
    "function 0123456789abcdef \"attend\"\nfunction 0123456789abcdef \"multiply\"\n"               \
    "function 0123456789abcdf0 \"attend\"\n"
#define GOOD HEAD TENSORS FUNCTIONS "end 2\n"

static int parse(const char *text, char error[256], struct planfile **out)
{
    return planfile_parse("plan", text, strlen(text), error, 256, out);
}

static char *print(const struct planfile *plan)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    planfile_print(plan, out);
    fclose(out);
    return text;
}

Test(planfile, is_read_to_the_last_number)
{
    struct planfile *plan = NULL;
    char error[256];

    cr_assert_eq(parse(GOOD, error, &plan), 0, "%s", error);
    cr_expect_str_eq(plan->model, "red \x1b[31m");
    cr_expect_str_eq(plan->card, "a card");
    cr_expect(plan->device == 100 && plan->host == 200 && plan->chunk == 16);
    cr_expect(plan->weights == 60 && plan->cache == 3 && plan->buffers == 4);
    cr_expect(plan->driver == 5 && plan->peak == 70 && plan->error == 6);
    cr_assert(plan->n_files == 1 && plan->n_phases == 1 && plan->n_tensors == 2);
    cr_expect_str_eq(plan->files[0].path, "/models/a.gguf");
    cr_expect(plan->files[0].bytes == 1000 && plan->files[0].digest == 255);
    cr_expect(plan->phases[0].is_main && plan->phases[0].first == 0 && plan->phases[0].n == 2);
    cr_expect(plan->tensors[0].offset == 100 && plan->tensors[0].bytes == 40);
    cr_expect(plan->tensors[0].resident == 10 && plan->tensors[0].tier == PLANFILE_STREAM);
    cr_expect_eq(plan->tensors[0].fingerprint, 0x0123456789abcdefu);
    cr_expect(plan->tensors[1].tier == PLANFILE_DEVICE && plan->tensors[1].fingerprint == 0);
    cr_expect(!plan->tensors[0].pinned && plan->tensors[1].pinned);
    cr_assert_eq(plan->functions.n, 3);
    cr_expect_str_eq(plan->functions.list[1].name, "multiply");
    cr_expect_eq(plan->functions.list[2].digest, 0x0123456789abcdf0u);
    planfile_free(plan);
}

Test(planfile, is_printed_as_it_was_read)
{
    struct planfile *plan = NULL;
    char error[256];
    char *text;

    cr_assert_eq(parse(GOOD, error, &plan), 0);
    text = print(plan);
    cr_expect_str_eq(text, GOOD);
    free(text);
    planfile_free(plan);
}

static char *throw_text(void)
{
    size_t n = dice(40);
    char *text = calloc(1, n + 1);

    for (size_t i = 0; i < n; i++)
        text[i] = (char)(1 + dice(255));
    return text;
}

static void throw_tensor(struct planfile *plan, struct planfile_tensor *tensor)
{
    *tensor = (struct planfile_tensor){
        .name = throw_text(),
        .file = (uint32_t)dice(plan->n_files),
        .tier = (enum planfile_tier)dice(PLANFILE_TIERS),
        .offset = dice(1u << 30),
        .bytes = 1 + dice((uint64_t)1 << 40),
        .fingerprint = dice(3) ? state : 0,
    };
    tensor->resident = tensor->tier == PLANFILE_DEVICE   ? tensor->bytes
                       : tensor->tier == PLANFILE_STREAM ? dice(tensor->bytes + 1)
                                                         : 0;
    tensor->pinned = !tensor->resident || tensor->resident == tensor->bytes ? dice(2) : false;
    plan->weights += tensor->bytes;
}

static struct planfile *throw_plan(void)
{
    struct planfile *plan = calloc(1, sizeof(*plan));

    *plan = (struct planfile){.model = throw_text(),
                              .card = throw_text(),
                              .device = (uint64_t)1 << 62,
                              .host = state,
                              .chunk = dice(1 << 24),
                              .cache = dice(UINT64_MAX >> 12),
                              .peak = state,
                              .n_files = 1 + dice(3),
                              .n_phases = 1 + dice(3)};
    plan->files = calloc(plan->n_files, sizeof(*plan->files));
    for (uint32_t i = 0; i < plan->n_files; i++)
        plan->files[i] = (struct planfile_file){throw_text(), (uint64_t)1 << 50, state | 1};
    plan->tensors = calloc(64, sizeof(*plan->tensors));
    for (uint32_t i = 0; i < plan->n_phases; i++) {
        struct planfile_phase *phase = &plan->phases[i];

        *phase = (struct planfile_phase){throw_text(), i == 1, plan->n_tensors, 1 + dice(20)};
        for (uint32_t k = 0; k < phase->n; k++)
            throw_tensor(plan, &plan->tensors[plan->n_tensors++]);
    }
    for (uint64_t n = dice(30); n; n--) {
        char *name = throw_text();

        cr_assert_eq(roll_add(&plan->functions, 1 + dice(5), name), 0);
        free(name);
    }
    return plan;
}

static bool same_tensor(const struct planfile_tensor *a, const struct planfile_tensor *b)
{
    return !strcmp(a->name, b->name) && a->file == b->file && a->tier == b->tier &&
           a->pinned == b->pinned && a->offset == b->offset && a->bytes == b->bytes &&
           a->resident == b->resident && a->fingerprint == b->fingerprint;
}

Test(planfile, reads_what_it_printed_whatever_that_is)
{
    for (int round = 0; round < ROUNDS; round++) {
        struct planfile *plan = throw_plan();
        struct planfile *again = NULL;
        char error[256];
        char *text = print(plan);
        char *second;

        cr_assert_eq(parse(text, error, &again), 0, "round %d: %s\n%s", round, error, text);
        second = print(again);
        cr_assert_str_eq(text, second, "round %d", round);
        cr_assert_eq(plan->n_tensors, again->n_tensors);
        cr_assert_str_eq(plan->model, again->model);
        for (uint32_t i = 0; i < plan->n_tensors; i++)
            cr_assert(same_tensor(&plan->tensors[i], &again->tensors[i]), "round %d", round);
        free(text);
        free(second);
        planfile_free(plan);
        planfile_free(again);
    }
}

Test(planfile, is_refused_wherever_it_is_cut)
{
    struct planfile *plan = NULL;
    char error[256];

    for (size_t n = 0; n < sizeof(GOOD) - 2; n++) {
        cr_assert_eq(planfile_parse("plan", GOOD, n, error, sizeof(error), &plan), -EINVAL,
                     "cut at %zu", n);
        cr_assert(strncmp(error, "plan:", 5) == 0 && !strpbrk(error, "\n\x1b"), "%s", error);
    }
}

#define TENSOR(...) HEAD "phase main \"decode\"\ntensor " __VA_ARGS__ "\nend 1\n"

static const struct {
    const char *text;
    const char *error;
} bad[] = {
    {"", "plan: empty"},
    {"{\"a\": 1}\n", "plan:1: not a plan of vramshim-plan; -o FILE writes one"},
    {"vramshim-plan 1\n", "plan:1: version 1 of the plan is not known; write it anew"},
    {"vramshim-plan 2\nmodel \"a\n", "plan:2: a text in quotes is missing"},
    {"vramshim-plan 2\nmodel \"\\x00\"\n", "plan:2: a text in quotes is missing"},
    {"vramshim-plan 2\nmodel \"\\x4\"\n", "plan:2: a text in quotes is missing"},
    {"vramshim-plan 2\nmodel \"a\"b\n", "plan:2: a text in quotes is missing"},
    {"vramshim-plan 2\nmodel \"\xff\"\n", "plan:2: not a line of text"},
    {"vramshim-plan 2\nmachine 1 1 1 \"\"\n", "plan:2: a line in the wrong place"},
    {"vramshim-plan 2\nmodule \"\"\n", "plan:2: a line that no plan has"},
    {HEAD "end 0\n", "plan:6: a line in the wrong place"},
    {HEAD TENSORS "end 3\n", "plan:9: lines are missing: 2 tensors were found"},
    {HEAD TENSORS "phase main \"x\"\n", "plan:9: there is more than one main phase"},
    {HEAD TENSORS "phase then \"x\"\n", "plan:9: a phase is main or beside"},
    {TENSOR("1 0 60 - stream 0 \"\""), "plan:7: there is no file 1"},
    {TENSOR("0 941 60 - stream 0 \"\""), "plan:7: the tensor reaches beyond the end of its file"},
    {TENSOR("0 18446744073709551615 60 - stream 0 \"\""),
     "plan:7: the tensor reaches beyond the end of its file"},
    {TENSOR("0 18446744073709551616 60 - stream 0 \"\""),
     "plan:7: number 2 of the line is missing or none"},
    {TENSOR("0 -1 60 - stream 0 \"\""), "plan:7: number 2 of the line is missing or none"},
    {TENSOR("0 01 60 - stream 0 \"\""), "plan:7: number 2 of the line is missing or none"},
    {TENSOR("0 0 0 - stream 0 \"\""), "plan:7: a tensor without bytes"},
    {TENSOR("0 0 60 - stream 61 \"\""), "plan:7: more of the tensor stays than there is"},
    {TENSOR("0 0 60 - device 59 \"\""), "plan:7: of a tensor on the device all stays"},
    {TENSOR("0 0 60 - in-place 1 \"\""), "plan:7: of a tensor that is read in place nothing stays"},
    {TENSOR("0 0 60 - stream 59 \"\" pinned"), "plan:7: of a pinned tensor all stays, or nothing"},
    {TENSOR("0 0 60 - stream 0 \"\" pin"), "plan:7: there is more in the line than belongs there"},
    {TENSOR("0 0 600 - device 600 \"\""), "plan:7: more stays on the device than was planned with"},
    {TENSOR("0 0 60 0 stream 0 \"\""),
     "plan:7: the fingerprint is neither 16 hexadecimal digits nor -"},
    {TENSOR("0 0 60 - disk 0 \"\""), "plan:7: a tensor is device, stream or in-place"},
    {TENSOR("0 0 60 - stream 0 \"\" 1"), "plan:7: there is more in the line than belongs there"},
    {TENSOR("0 0 59 - stream 0 \"\""),
     "plan:8: the tensors are not as large together as the weights"},
    {HEAD TENSORS FUNCTIONS FUNCTIONS, "plan:12: functions are not in order"},
    {HEAD TENSORS "function 0123456789abcdef \"a\"\nfunction 0123456789abcdef \"a\"\n",
     "plan:10: functions are not in order"},
    {HEAD TENSORS "function - \"a\"\n", "plan:9: the function's digest is missing or none"},
    {HEAD TENSORS "function 0123456789abcdef a\n", "plan:9: a text in quotes is missing"},
    {HEAD TENSORS "function 0123456789abcdef \"a\" b\n",
     "plan:9: there is more in the line than belongs there"},
    {HEAD "function 0123456789abcdef \"a\"\n", "plan:6: a line in the wrong place"},
    {HEAD TENSORS FUNCTIONS "tensor 0 0 1 - stream 0 \"\"\n", "plan:12: a line in the wrong place"},
    {GOOD "end 2\n", "plan:13: a line in the wrong place"},
};

Test(planfile, answers_each_bad_line_with_its_number_and_what_is_wrong)
{
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct planfile *plan = NULL;
        char error[256] = "";

        cr_expect_eq(parse(bad[i].text, error, &plan), -EINVAL, "row %zu", i);
        cr_expect_str_eq(error, bad[i].error, "row %zu", i);
    }
}

Test(planfile, skips_comments_and_empty_lines)
{
    struct planfile *plan = NULL;
    char error[256];

    cr_assert_eq(parse("# made today\n\n" HEAD "\n# in between\n" TENSORS "end 2", error, &plan), 0,
                 "%s", error);
    planfile_free(plan);
}

/* A file with the plan in it. */
static void write_plan(char path[32], mode_t mode)
{
    int fd;

    strcpy(path, "/tmp/planfile-XXXXXX");
    fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, GOOD, sizeof(GOOD) - 1), (ssize_t)sizeof(GOOD) - 1);
    cr_assert_eq(fchmod(fd, mode), 0);
    close(fd);
}

Test(planfile, is_read_from_a_file_of_this_users)
{
    struct planfile *plan = NULL;
    char path[32], error[256];

    write_plan(path, 0600);
    cr_expect_eq(planfile_load(path, error, sizeof(error), &plan), 0, "%s", error);
    planfile_free(plan);
    unlink(path);
}

Test(planfile, is_not_read_from_a_file_that_everybody_may_write)
{
    struct planfile *plan = NULL;
    char path[32], error[256];

    write_plan(path, 0666);
    cr_expect_eq(planfile_load(path, error, sizeof(error), &plan), -EACCES);
    cr_expect(strstr(error, "everybody may write it"), "%s", error);
    unlink(path);
}

Test(planfile, is_not_read_from_a_file_of_another_user)
{
    struct planfile *plan = NULL;
    char path[32], error[256];

    if (geteuid() != 0)
        cr_skip_test("only root can give files away");
    write_plan(path, 0644);
    cr_assert_eq(chown(path, 65534, 65534), 0);
    cr_assert_eq(seteuid(65533), 0);
    cr_expect_eq(planfile_load(path, error, sizeof(error), &plan), -EACCES);
    cr_expect(strstr(error, "belongs to another user"), "%s", error);
    cr_assert_eq(seteuid(0), 0);
    unlink(path);
}

Test(planfile, is_not_waited_for)
{
    struct planfile *plan = NULL;
    char path[] = "/tmp/planfile-XXXXXX", error[256], pipe_name[64];

    cr_assert_not_null(mkdtemp(path));
    snprintf(pipe_name, sizeof(pipe_name), "%s/p", path);
    cr_assert_eq(mkfifo(pipe_name, 0600), 0);
    cr_expect_eq(planfile_load(pipe_name, error, sizeof(error), &plan), -EACCES);
    cr_expect(strstr(error, "not a regular file"), "%s", error);
    unlink(pipe_name);
    rmdir(path);
}

Test(planfile, tells_tensors_apart_by_their_first_bytes)
{
    uint8_t bytes[2 * PLANFILE_HEAD];
    uint64_t first;

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)dice(256);
    first = planfile_fingerprint(bytes, sizeof(bytes));
    cr_expect_neq(first, 0);
    cr_expect_eq(first, planfile_fingerprint(bytes, PLANFILE_HEAD), "what follows does not count");
    bytes[PLANFILE_HEAD - 1] ^= 1;
    cr_expect_neq(first, planfile_fingerprint(bytes, sizeof(bytes)));
    memset(bytes, 7, sizeof(bytes));
    cr_expect_eq(planfile_fingerprint(bytes, sizeof(bytes)), 0, "constants tell nothing");
    cr_expect_eq(planfile_fingerprint(bytes, 16), 0, "nor do so few bytes");
}

Test(planfile, is_for_cards_that_go_by_its_name)
{
    static const struct {
        const char *planned, *driver;
        bool is_for;
    } cases[] = {
        {"GeForce RTX 3060", "NVIDIA GeForce RTX 3060", true},
        {"NVIDIA GeForce RTX 3060", "NVIDIA GeForce RTX 3060", true},
        {"GeForce RTX 3060", "NVIDIA GeForce RTX 3060 Ti", false},
        {"GeForce RTX 3060", "NVIDIA GeForce RTX 3060 Laptop GPU", false},
        {"GeForce RTX 4060 Ti", "NVIDIA GeForce RTX 4060", false},
        {"Tesla V100", "Tesla V100-SXM2-32GB", true},
        {"NVIDIA A100", "NVIDIA A100-SXM4-80GB", true},
        {"NVIDIA A10", "NVIDIA A100-SXM4-80GB", false},
        {"NVIDIA L4", "NVIDIA L40S", false},
        {"NVIDIA H100", "NVIDIA H100 80GB HBM3", true},
        {PLANFILE_ANY_CARD, "NVIDIA H100 80GB HBM3", true},
        {"", "NVIDIA H100 80GB HBM3", true},
        {"NVIDIA Card", "Card", true},
        {"NVIDIA H100", "", false},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct planfile plan = {.card = (char *)cases[i].planned};

        cr_expect_eq(planfile_is_for(&plan, cases[i].driver), cases[i].is_for, "%s, %s",
                     cases[i].planned, cases[i].driver);
    }
}
