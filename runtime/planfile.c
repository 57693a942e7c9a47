/* SPDX-License-Identifier: MIT */
/*
 * The lines come in one order, and a table says which may follow which. Every number is checked
 * where it is read; sums that would not fit are refused there, so that nothing after the parser has
 * to ask again. Arrays grow with the lines that were really there.
 */
#include "runtime/planfile.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/card_name.h"
#include "runtime/fields.h"
#include "runtime/util.h"

static const char *const tier_words[] = {
    [PLANFILE_DEVICE] = "device",
    [PLANFILE_STREAM] = "stream",
    [PLANFILE_IN_PLACE] = "in-place",
};
static const char *const phase_words[] = {"beside", "main"};

enum {
    FINGERPRINT_LEAST = 256, /* bytes: of fewer too many tensors have the same */
};

struct parser {
    struct planfile *plan;
    const char *name;
    struct lines lines;
    char *error;
    size_t error_size;
    uint64_t tensor_bytes, resident; /* sums */
    uint32_t files_room, tensors_room;
    char text[FIELDS_TEXT_MAX + 1];
};

static int complain(struct parser *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static int complain(struct parser *p, const char *format, ...)
{
    char what[160];
    va_list args;

    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    fields_say(p->error, p->error_size, p->name, p->lines.number, what);
    return -EINVAL;
}

static int take_text(struct parser *p, struct fields *line, char **out)
{
    if (!fields_text(line, p->text))
        return complain(p, "a text in quotes is missing");
    *out = strdup(p->text);
    return *out ? 0 : -ENOMEM;
}

static int take_numbers(struct parser *p, struct fields *line, uint64_t *const *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!fields_number(line, out[i]))
            return complain(p, "number %zu of the line is missing or none", i + 1);
    }
    return 0;
}

static int take_header(struct parser *p, struct fields *line)
{
    uint64_t version;

    if (!fields_word(line, "vramshim-plan") || !fields_number(line, &version))
        return complain(p, "not a plan of vramshim-plan; -o FILE writes one");
    if (version != 2)
        return complain(p, "version %" PRIu64 " of the plan is not known; write it anew", version);
    return 0;
}

static int take_model(struct parser *p, struct fields *line)
{
    return take_text(p, line, &p->plan->model);
}

static int take_machine(struct parser *p, struct fields *line)
{
    struct planfile *plan = p->plan;
    uint64_t *const numbers[] = {&plan->device, &plan->host, &plan->chunk};
    int r = take_numbers(p, line, numbers, ARRAY_SIZE(numbers));

    return r ? r : take_text(p, line, &plan->card);
}

static int take_prediction(struct parser *p, struct fields *line)
{
    struct planfile *plan = p->plan;
    uint64_t *const numbers[] = {&plan->weights, &plan->cache, &plan->buffers,
                                 &plan->driver,  &plan->peak,  &plan->error};

    return take_numbers(p, line, numbers, ARRAY_SIZE(numbers));
}

/* Room for one more of `n` things. */
static int grow(void **list, uint32_t n, uint32_t *room, size_t size)
{
    uint32_t wanted = *room ? 2 * *room : 16;
    void *grown;

    if (n < *room)
        return 0;
    grown = reallocarray(*list, wanted, size);
    if (!grown)
        return -ENOMEM;
    *list = grown;
    *room = wanted;
    return 0;
}

static int take_file(struct parser *p, struct fields *line)
{
    struct planfile *plan = p->plan;
    struct planfile_file file = {0};
    int r;

    if (plan->n_files == PLANFILE_FILES_MAX)
        return complain(p, "more than %d files", PLANFILE_FILES_MAX);
    if (!fields_number(line, &file.bytes))
        return complain(p, "the file's size is missing or no number");
    if (!fields_mark(line, &file.digest) || !file.digest)
        return complain(p, "the file's digest is missing or none");
    r = grow((void **)&plan->files, plan->n_files, &p->files_room, sizeof(file));
    r = r ? r : take_text(p, line, &file.path);
    if (!r)
        plan->files[plan->n_files++] = file;
    return r;
}

static int take_phase(struct parser *p, struct fields *line)
{
    struct planfile *plan = p->plan;
    struct planfile_phase phase = {.first = plan->n_tensors};
    size_t word;
    int r;

    if (plan->n_phases == PLANFILE_PHASES_MAX)
        return complain(p, "more than %d phases", PLANFILE_PHASES_MAX);
    if (!fields_choice(line, phase_words, ARRAY_SIZE(phase_words), &word))
        return complain(p, "a phase is main or beside");
    phase.is_main = word;
    for (uint32_t i = 0; i < plan->n_phases && phase.is_main; i++) {
        if (plan->phases[i].is_main)
            return complain(p, "there is more than one main phase");
    }
    r = take_text(p, line, &phase.name);
    if (!r)
        plan->phases[plan->n_phases++] = phase;
    return r;
}

static int check_tensor(struct parser *p, const struct planfile_tensor *tensor, uint64_t file)
{
    const struct planfile *plan = p->plan;
    uint64_t end;

    if (file >= plan->n_files)
        return complain(p, "there is no file %" PRIu64, file);
    if (__builtin_add_overflow(tensor->offset, tensor->bytes, &end) ||
        end > plan->files[file].bytes)
        return complain(p, "the tensor reaches beyond the end of its file");
    if (!tensor->bytes)
        return complain(p, "a tensor without bytes");
    if (tensor->resident > tensor->bytes)
        return complain(p, "more of the tensor stays than there is");
    if (tensor->tier == PLANFILE_DEVICE && tensor->resident != tensor->bytes)
        return complain(p, "of a tensor on the device all stays");
    if (tensor->pinned && tensor->resident && tensor->resident != tensor->bytes)
        return complain(p, "of a pinned tensor all stays, or nothing");
    if (tensor->tier == PLANFILE_IN_PLACE && tensor->resident)
        return complain(p, "of a tensor that is read in place nothing stays");
    if (__builtin_add_overflow(p->tensor_bytes, tensor->bytes, &p->tensor_bytes))
        return complain(p, "the tensors are larger than any memory");
    p->resident += tensor->resident; /* no more than the sum above */
    if (p->resident > plan->device)
        return complain(p, "more stays on the device than was planned with");
    return 0;
}

static int take_tensor(struct parser *p, struct fields *line)
{
    struct planfile *plan = p->plan;
    struct planfile_tensor tensor = {0};
    uint64_t file;
    uint64_t *const numbers[] = {&file, &tensor.offset, &tensor.bytes};
    size_t tier;
    int r;

    if (plan->n_tensors == PLANFILE_TENSORS_MAX)
        return complain(p, "more than %d tensors", PLANFILE_TENSORS_MAX);
    r = take_numbers(p, line, numbers, ARRAY_SIZE(numbers));
    if (r)
        return r;
    if (!fields_mark(line, &tensor.fingerprint))
        return complain(p, "the fingerprint is neither 16 hexadecimal digits nor -");
    if (!fields_choice(line, tier_words, ARRAY_SIZE(tier_words), &tier))
        return complain(p, "a tensor is device, stream or in-place");
    if (!fields_number(line, &tensor.resident))
        return complain(p, "how much of the tensor stays is missing or no number");
    tensor.tier = (enum planfile_tier)tier;
    tensor.file = (uint32_t)file;
    r = take_text(p, line, &tensor.name);
    if (r)
        return r;
    tensor.pinned = fields_word(line, "pinned");
    r = check_tensor(p, &tensor, file);
    r = r ? r : grow((void **)&plan->tensors, plan->n_tensors, &p->tensors_room, sizeof(tensor));
    if (r) {
        free(tensor.name);
        return r;
    }
    plan->tensors[plan->n_tensors++] = tensor;
    plan->phases[plan->n_phases - 1].n++;
    return 0;
}

static int take_function(struct parser *p, struct fields *line)
{
    const char *what;
    int r = roll_take(&p->plan->functions, line, &what);

    return r == -EINVAL ? complain(p, "%s", what) : r;
}

static int take_end(struct parser *p, struct fields *line)
{
    const struct planfile *plan = p->plan;
    uint64_t n;

    if (!fields_number(line, &n) || n != plan->n_tensors)
        return complain(p, "lines are missing: %u tensors were found", plan->n_tensors);
    if (p->tensor_bytes != plan->weights)
        return complain(p, "the tensors are not as large together as the weights");
    return 0;
}

/* The kinds of lines, and by bits which of them one may follow. */
#define AFTER(kind) (1u << (kind))
enum kind { HEADER, MODEL, MACHINE, PREDICT, FILES, PHASE, TENSOR, FUNCTION, END, NOTHING };
static const struct line_kind {
    const char *word; /* NULL: the header, whose word is a part of what it says */
    unsigned int after;
    int (*take)(struct parser *p, struct fields *line);
} kinds[] = {
    [HEADER] = {NULL, AFTER(NOTHING), take_header},
    [MODEL] = {"model", AFTER(HEADER), take_model},
    [MACHINE] = {"machine", AFTER(MODEL), take_machine},
    [PREDICT] = {"predict", AFTER(MACHINE), take_prediction},
    [FILES] = {"file", AFTER(PREDICT) | AFTER(FILES), take_file},
    [PHASE] = {"phase", AFTER(FILES) | AFTER(TENSOR), take_phase},
    [TENSOR] = {"tensor", AFTER(PHASE) | AFTER(TENSOR), take_tensor},
    [FUNCTION] = {"function", AFTER(TENSOR) | AFTER(FUNCTION), take_function},
    [END] = {"end", AFTER(TENSOR) | AFTER(FUNCTION), take_end},
};

static int take_line(struct parser *p, struct fields *line, enum kind *last)
{
    enum kind kind = HEADER;
    int r;

    while (*last != NOTHING && kind < NOTHING &&
           !(kinds[kind].word && fields_word(line, kinds[kind].word)))
        kind++;
    if (kind == NOTHING)
        return complain(p, "a line that no plan has");
    if (!(kinds[kind].after & AFTER(*last)))
        return complain(p, "a line in the wrong place");
    r = kinds[kind].take(p, line);
    if (!r && !fields_end(line))
        r = complain(p, "there is more in the line than belongs there");
    *last = kind;
    return r;
}

static int parse(struct parser *p)
{
    enum kind last = NOTHING;
    struct fields line;
    bool bad;
    int r = 0;

    while (!r && lines_next(&p->lines, &line, &bad))
        r = bad ? complain(p, "not a line of text") : take_line(p, &line, &last);
    if (!r && last != END)
        r = complain(p, last == NOTHING ? "empty" : "the end is missing");
    return r;
}

int planfile_parse(const char *name, const char *text, size_t size, char *error, size_t error_size,
                   struct planfile **out)
{
    struct parser parser = {
        .plan = calloc(1, sizeof(*parser.plan)),
        .name = name,
        .lines = {.at = text, .end = text + size},
        .error = error,
        .error_size = error_size,
    };
    int r = parser.plan ? parse(&parser) : -ENOMEM;

    if (r == -ENOMEM)
        fields_say(error, error_size, name, 0, "out of memory");
    if (r) {
        planfile_free(parser.plan);
        return r;
    }
    *out = parser.plan;
    return 0;
}

int planfile_load(const char *path, char *error, size_t error_size, struct planfile **out)
{
    size_t size;
    char *text;
    int r = fields_load(path, error, error_size, &text, &size);

    if (r)
        return r;
    r = planfile_parse(path, text, size, error, error_size, out);
    free(text);
    return r;
}

bool planfile_is_for(const struct planfile *plan, const char *driver_name)
{
    return !*plan->card || strcmp(plan->card, PLANFILE_ANY_CARD) == 0 ||
           card_name_is(driver_name, plan->card);
}

struct planfile *planfile_free(struct planfile *plan)
{
    if (!plan)
        return NULL;
    for (uint32_t i = 0; i < plan->n_files; i++)
        free(plan->files[i].path);
    for (uint32_t i = 0; i < plan->n_phases; i++)
        free(plan->phases[i].name);
    for (uint32_t i = 0; i < plan->n_tensors; i++)
        free(plan->tensors[i].name);
    roll_fini(&plan->functions);
    free(plan->files);
    free(plan->tensors);
    free(plan->model);
    free(plan->card);
    free(plan);
    return NULL;
}

static void print_tensor(const struct planfile_tensor *tensor, FILE *out)
{
    fprintf(out, "tensor %u %" PRIu64 " %" PRIu64 " ", tensor->file, tensor->offset, tensor->bytes);
    fields_put_mark(out, tensor->fingerprint);
    fprintf(out, " %s %" PRIu64 " ", tier_words[tensor->tier], tensor->resident);
    fields_put_text(out, tensor->name);
    fputs(tensor->pinned ? " pinned\n" : "\n", out);
}

static void print_head(const struct planfile *plan, FILE *out)
{
    fputs("vramshim-plan 2\nmodel ", out);
    fields_put_text(out, plan->model);
    fprintf(out, "\nmachine %" PRIu64 " %" PRIu64 " %" PRIu64 " ", plan->device, plan->host,
            plan->chunk);
    fields_put_text(out, plan->card);
    fprintf(out,
            "\npredict %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
            plan->weights, plan->cache, plan->buffers, plan->driver, plan->peak, plan->error);
}

void planfile_print(const struct planfile *plan, FILE *out)
{
    print_head(plan, out);
    for (uint32_t i = 0; i < plan->n_files; i++) {
        fprintf(out, "file %" PRIu64 " ", plan->files[i].bytes);
        fields_put_mark(out, plan->files[i].digest);
        fputc(' ', out);
        fields_put_text(out, plan->files[i].path);
        fputc('\n', out);
    }
    for (uint32_t i = 0; i < plan->n_phases; i++) {
        const struct planfile_phase *phase = &plan->phases[i];

        fprintf(out, "phase %s ", phase_words[phase->is_main]);
        fields_put_text(out, phase->name);
        fputc('\n', out);
        for (uint32_t k = 0; k < phase->n; k++)
            print_tensor(&plan->tensors[phase->first + k], out);
    }
    roll_print(&plan->functions, out);
    fprintf(out, "end %u\n", plan->n_tensors);
}

static uint64_t mix(uint64_t sum, uint64_t word)
{
    sum = (sum ^ word) * 0xbf58476d1ce4e5b9u;
    return sum ^ sum >> 29;
}

static uint64_t digest(const uint8_t *bytes, size_t size)
{
    uint64_t sum = 0x9e3779b97f4a7c15u ^ size;

    for (; size >= 8; bytes += 8, size -= 8) {
        uint64_t word = 0;

        for (int i = 0; i < 8; i++)
            word |= (uint64_t)bytes[i] << 8 * i;
        sum = mix(sum, word);
    }
    for (; size; size--)
        sum = mix(sum, *bytes++);
    sum = mix(sum, sum >> 32);
    return sum ? sum : 1;
}

/* Of repeated small units: ones, zeros, and halves of them. */
static bool is_constant(const uint8_t *bytes, size_t size)
{
    return memcmp(bytes, bytes + 8, size - 8) == 0;
}

uint64_t planfile_fingerprint(const void *bytes, size_t size)
{
    size = min_u64(size, PLANFILE_HEAD);
    return size < FINGERPRINT_LEAST || is_constant(bytes, size) ? 0 : digest(bytes, size);
}

uint64_t planfile_digest(const void *bytes, size_t size)
{
    return digest(bytes, min_u64(size, PLANFILE_DIGEST));
}
