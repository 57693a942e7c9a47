/* SPDX-License-Identifier: MIT */
/*
 * `vramshim doctor`: gathers what there is to look at, then asks one check after the other. Nothing
 * is changed, and what could break a context is tried in processes of their own, which are started
 * first because the driver does not survive a fork.
 */
#include <jansson.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/host_memory.h"
#include "runtime/util.h"
#include "tools/bundle.h"
#include "tools/evidence.h"
#include "tools/library.h"
#include "tools/patient.h"

enum {
    PIN_MIB = 128,
    PIN_SHARE = 4,     /* of what is available, at most */
    PIN_SHARE_WSL = 2, /* there the limit is what matters: half of it all is tried */
};

enum need { NEED_NOTHING, NEED_CARD, NEED_SLOT, NEED_NVML, NEED_PROGRAM };

static const struct check {
    const char *id;
    enum need need;
    const char *fix;
    void (*ask)(const struct patient *patient, struct finding *out);
} checks[] = {
#define CHECK(id, need, question, fix) {#id, NEED_##need, fix, check_##id},
#include "tools/checks.def"
};

struct answers {
    struct finding findings[ARRAY_SIZE(checks)];
    struct finding traps[TRAP_COUNT]; /* that no check answers for */
    unsigned int counts[VERDICTS];
};

static const char *const verdict_names[VERDICTS] = {
    [VERDICT_PASS] = "PASS",
    [VERDICT_WARN] = "WARN",
    [VERDICT_FAIL] = "FAIL",
    [VERDICT_SKIP] = "SKIP",
};

void find(struct finding *out, enum verdict verdict, const char *format, ...)
{
    va_list args;

    out->verdict = verdict;
    va_start(args, format);
    vsnprintf(out->says, sizeof(out->says), format, args);
    va_end(args);
    /* Names of files and of cards are others' text. */
    for (char *at = out->says; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            *at = '?';
}

void find_fix(struct finding *out, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(out->fix, sizeof(out->fix), format, args);
    va_end(args);
}

void find_trap(struct finding *out, enum trap_id id)
{
    out->trap = trap_at(id);
}

bool patient_line(const struct patient *patient, const char *path, char *out, size_t size)
{
    char whole[512];
    FILE *file;
    bool found;

    snprintf(whole, sizeof(whole), "%s%s", patient->root, path);
    file = fopen(whole, "re");
    if (!file)
        return false;
    found = fgets(out, (int)size, file) != NULL;
    fclose(file);
    if (found)
        out[strcspn(out, "\n")] = '\0';
    return found;
}

static bool is_wsl(const struct patient *patient)
{
    char line[256];

    return patient_line(patient, "/proc/sys/kernel/osrelease", line, sizeof(line)) &&
           strcasestr(line, "microsoft");
}

static uint64_t bytes_to_pin(const struct patient *patient)
{
    uint64_t available = host_memory_available(patient->root);

    if (patient->facts.wsl)
        return align_down(available / PIN_SHARE_WSL, MIB);
    return align_down(min_u64(PIN_MIB * MIB, available / PIN_SHARE), MIB);
}

static void run_program(struct patient *patient)
{
    char library[PATH_MAX], why[PATH_MAX + 128];

    if (library_find(patient->options->library, library, sizeof(library), why, sizeof(why)) == 0)
        listen_to_program(library, patient->options->rest, &patient->facts.signs, &patient->heard);
}

static void examine(struct patient *patient, int ordinal)
{
    evidence_gather(patient->options->rest, &patient->facts);
    patient->facts.wsl = is_wsl(patient);
    if (*patient->options->rest)
        run_program(patient);
    patient->pin_bytes = bytes_to_pin(patient);
    self_test_host_vmm(ordinal, &patient->host_vmm);
    self_test_pin(ordinal, patient->pin_bytes, &patient->pin);
    patient->has_card =
        gpu_open(&patient->gpu, ordinal, patient->why_not, sizeof(patient->why_not)) == 0;
    patient->has_driver = patient->gpu.version > 0;
    patient->facts.capability = (unsigned int)(10 * patient->gpu.major + patient->gpu.minor);
    if (!patient->has_card)
        return;
    patient->has_slot = slot_read(patient->root, patient->gpu.bus_id, &patient->slot) == 0;
    management_ask(&patient->gpu, &patient->management);
}

static bool can_ask(const struct patient *patient, enum need need, struct finding *out)
{
    const char *missing = NULL;

    if (need == NEED_PROGRAM && !patient->heard.ran)
        missing = "no program was named (doctor -- program)";
    else if (need != NEED_NOTHING && !patient->has_card)
        missing = "no card";
    else if (need == NEED_SLOT && !patient->has_slot)
        missing = "the kernel does not know the card's slot";
    else if (need == NEED_NVML && !patient->management.found)
        missing = patient->management.why_not;
    if (missing)
        find(out, VERDICT_SKIP, "%s", missing);
    return !missing;
}

static void ask(const struct patient *patient, const struct check *check, struct finding *out)
{
    memset(out, 0, sizeof(*out));
    if (can_ask(patient, check->need, out))
        check->ask(patient, out);
    if (!*out->fix && (out->verdict == VERDICT_WARN || out->verdict == VERDICT_FAIL))
        snprintf(out->fix, sizeof(out->fix), "%s", check->fix);
}

/* What is seen of traps, but for those that a check has looked for. */
static void judge_traps(const struct patient *patient, struct answers *answers)
{
    for (enum trap_id id = 0; id < TRAP_COUNT; id++) {
        struct finding *out = &answers->traps[id];
        char says[sizeof(out->says)];

        if (*trap_at(id)->check || trap_judge(id, &patient->facts) != TRAP_APPLIES)
            continue;
        trap_tell(id, &patient->facts, says, sizeof(says));
        find(out, VERDICT_WARN, "%s", says);
        find_fix(out, "%s", trap_at(id)->fix);
        find_trap(out, id);
        answers->counts[VERDICT_WARN]++;
    }
}

static void print_line(FILE *out, const char *id, const struct finding *finding)
{
    const struct trap *trap = finding->trap;

    if (trap && strcmp(trap->id, id) != 0)
        fprintf(out, "%s %-12s %s (%s)\n", verdict_names[finding->verdict], id, finding->says,
                trap->id);
    else
        fprintf(out, "%s %-12s %s\n", verdict_names[finding->verdict], id, finding->says);
    if (*finding->fix)
        fprintf(out, "     Fix: %s\n", finding->fix);
}

static void print_text(FILE *out, const struct answers *answers)
{
    const unsigned int *counts = answers->counts;

    for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
        print_line(out, checks[i].id, &answers->findings[i]);
    for (enum trap_id id = 0; id < TRAP_COUNT; id++)
        if (answers->traps[id].trap)
            print_line(out, trap_at(id)->id, &answers->traps[id]);
    fprintf(out, "%u passed, %u warnings, %u failed, %u skipped\n", counts[VERDICT_PASS],
            counts[VERDICT_WARN], counts[VERDICT_FAIL], counts[VERDICT_SKIP]);
}

static void append_json(json_t *list, const char *id, const struct finding *finding)
{
    json_array_append_new(list, json_pack("{s:s, s:s, s:s%, s:s?, s:s?}", "id", id, "verdict",
                                          verdict_names[finding->verdict], "says", finding->says,
                                          strlen(finding->says), "fix",
                                          *finding->fix ? finding->fix : NULL, "trap",
                                          finding->trap ? finding->trap->id : NULL));
}

static void print_json(FILE *out, const struct answers *answers)
{
    const unsigned int *counts = answers->counts;
    json_t *list = json_array();
    json_t *all;

    for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
        append_json(list, checks[i].id, &answers->findings[i]);
    for (enum trap_id id = 0; id < TRAP_COUNT; id++)
        if (answers->traps[id].trap)
            append_json(list, trap_at(id)->id, &answers->traps[id]);
    all = json_pack("{s:o, s:i, s:i, s:i, s:i}", "checks", list, "passed", counts[VERDICT_PASS],
                    "warnings", counts[VERDICT_WARN], "failed", counts[VERDICT_FAIL], "skipped",
                    counts[VERDICT_SKIP]);
    if (!all)
        return;
    json_dumpf(all, out, JSON_INDENT(2));
    fputc('\n', out);
    json_decref(all);
}

/* What the bundle holds of the answers. */
static void print_for_bundle(FILE *out, bool json, const void *context)
{
    (json ? print_json : print_text)(out, context);
}

static int answer(const struct options *options, const struct answers *answers)
{
    int status = STATUS_OK;

    (options->json ? print_json : print_text)(stdout, answers);
    if (options->bundle)
        status = bundle_write(options, print_for_bundle, answers);
    return status ? status : command_flush();
}

int doctor_main(const struct command *self, char **arguments)
{
    static struct patient patient;
    static struct answers answers;
    struct options options;
    uint64_t ordinal;
    int status = options_parse(self, arguments, true, &options);

    if (status || options.help)
        return status;
    status = option_number("--device", options.device, 0, 255, 0, &ordinal);
    if (status)
        return status;
    patient.options = &options;
    patient.root = options.root ? options.root : "";
    patient.spill = spill_folder(&options);
    examine(&patient, (int)ordinal);
    for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
        ask(&patient, &checks[i], &answers.findings[i]);
        answers.counts[answers.findings[i].verdict]++;
    }
    judge_traps(&patient, &answers);
    gpu_close(&patient.gpu);
    status = answer(&options, &answers);
    if (status || !patient.has_card)
        return STATUS_ENVIRONMENT;
    return answers.counts[VERDICT_FAIL] ? STATUS_NO : STATUS_OK;
}
