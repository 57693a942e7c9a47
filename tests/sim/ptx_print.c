/* SPDX-License-Identifier: MIT */

/*
 * Functions that the driver has and PTX only declares: vprintf and __assertfail.
 *
 * printf's arguments lie in local memory one after the other, each aligned to its size, as the
 * compiler packs them; a float comes as a double. The text is handed on lane by lane.
 */

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/ptx_call.h"
#include "tests/sim/ptx_opcode.h"

#define STRING_LIMIT 65536

/* One lane's call, and where it is in its argument buffer. */
struct printing {
    struct ptx_warp *warp;
    const struct ptx_insn *insn;
    unsigned int lane;
    uint64_t at;
    bool failed; /* a fault is recorded */
    FILE *out;
    unsigned int n_arguments;
};

/* `bytes` from a generic address, as the lane would read them. */
static uint64_t peek(struct printing *printing, uint64_t address, unsigned int bytes)
{
    const void *from = NULL;
    uint64_t value = 0;

    if (!printing->failed)
        from = ptx_generic_pointer(printing->warp, printing->insn, printing->lane, address, bytes,
                                   false);
    if (from)
        memcpy(&value, from, bytes);
    else
        printing->failed = true;
    return value;
}

/* A string in device memory; NULL after a fault. Free it. */
static char *peek_string(struct printing *printing, uint64_t address)
{
    size_t capacity = 64;
    char *text = malloc(capacity);

    for (size_t i = 0; text; i++) {
        if (i + 1 == capacity) {
            char *larger = realloc(text, capacity *= 2);
            if (!larger)
                break;
            text = larger;
        }
        text[i] = i < STRING_LIMIT ? (char)peek(printing, address + i, 1) : '\0';
        if (printing->failed)
            break;
        if (!text[i])
            return text;
    }
    free(text);
    printing->failed = true;
    return NULL;
}

static uint64_t next_argument(struct printing *printing, unsigned int bytes)
{
    uint64_t at = (printing->at + bytes - 1) & ~(uint64_t)(bytes - 1);

    printing->at = at + bytes;
    printing->n_arguments++;
    return peek(printing, at, bytes);
}

static void print_string(struct printing *printing, const char *spec)
{
    uint64_t address = next_argument(printing, 8);
    char *text = address ? peek_string(printing, address) : NULL;

    if (!printing->failed)
        fprintf(printing->out, spec, text ? text : "(null)");
    free(text);
}

/* The argument of one conversion; `spec` is it without length, with an `ll` for whole numbers. */
static void print_argument(struct printing *printing, const char *spec, char type, bool is_long)
{
    uint64_t bits;
    double number;

    switch (type) {
    case 'd':
    case 'i':
        bits = next_argument(printing, is_long ? 8 : 4);
        fprintf(printing->out, spec, is_long ? (long long)bits : (long long)(int32_t)bits);
        return;
    case 'o':
    case 'u':
    case 'x':
    case 'X':
        bits = next_argument(printing, is_long ? 8 : 4);
        fprintf(printing->out, spec, (unsigned long long)bits);
        return;
    case 'c':
        fprintf(printing->out, spec, (int)next_argument(printing, 4));
        return;
    case 's':
        print_string(printing, spec);
        return;
    case 'p':
        fprintf(printing->out, spec, (void *)(uintptr_t)next_argument(printing, 8));
        return;
    default:
        bits = next_argument(printing, 8);
        memcpy(&number, &bits, sizeof(number));
        fprintf(printing->out, spec, number);
        return;
    }
}

/* One conversion, from its % on; returns what follows it. What is none is printed as it stands. */
static const char *print_conversion(struct printing *printing, const char *at)
{
    char spec[64] = "%";
    size_t n = 1;
    const char *end = at + 1;
    bool is_long = false;

    while (*end && strchr("-+ #0123456789.*", *end) && n < sizeof(spec) - 16) {
        if (*end == '*')
            n += (size_t)snprintf(spec + n, 12, "%d", (int)next_argument(printing, 4));
        else
            spec[n++] = *end;
        end++;
    }
    for (; *end && strchr("hlLqjzt", *end); end++)
        is_long |= *end != 'h' && *end != 'L';
    if (!*end || !strchr("diouxXcspeEfFgGaA%", *end)) {
        fwrite(at, 1, (size_t)(end - at) + (*end != '\0'), printing->out);
        return end + (*end != '\0');
    }
    if (*end == '%') {
        fputc('%', printing->out);
        return end + 1;
    }
    snprintf(spec + n, sizeof(spec) - n, "%s%c", strchr("diouxX", *end) ? "ll" : "", *end);
    print_argument(printing, spec, *end, is_long);
    return end + 1;
}

static void print_format(struct printing *printing, const char *format)
{
    while (*format && !printing->failed) {
        size_t plain = strcspn(format, "%");
        fwrite(format, 1, plain, printing->out);
        format += plain;
        if (*format == '%')
            format = print_conversion(printing, format);
    }
}

/* vprintf(format, arguments) of one lane; returns how many arguments there were. */
static int lane_print(struct printing *printing, uint64_t format_at)
{
    char *text = NULL;
    size_t bytes = 0;
    char *format = peek_string(printing, format_at);

    printing->out = format ? open_memstream(&text, &bytes) : NULL;
    if (!printing->out) {
        free(format);
        return -1;
    }
    print_format(printing, format);
    fclose(printing->out);
    if (!printing->failed)
        sim_print(false, text, bytes);
    free(text);
    free(format);
    return (int)printing->n_arguments;
}

static enum ptx_step run_print(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    const struct ptx_call *call = &warp->launch->kernel->calls[insn->imm];
    const struct ptx_place *arguments = call->places + call->n_results;

    EACH_ACTIVE_LANE(lane, mask)
    {
        struct printing printing = {.warp = warp, .insn = insn, .lane = lane};
        int n;
        printing.at = ptx_place_value(warp, &arguments[1], lane);
        n = lane_print(&printing, ptx_place_value(warp, &arguments[0], lane));
        if (printing.failed)
            return PTX_STEP_STOP;
        if (call->n_results)
            ptx_place_set(warp, &call->places[0], lane, (uint64_t)(int64_t)n);
    }
    return PTX_STEP_NEXT;
}

static void print_assertion(struct printing *printing, const struct ptx_place *arguments)
{
    const struct ptx_block *block = printing->warp->block;
    const unsigned int *size = block->launch->block;
    unsigned int thread = printing->warp->index * PTX_LANES + printing->lane;
    char *texts[3];
    char line[1024];

    for (int i = 0; i < 3; i++)
        texts[i] = peek_string(
            printing, ptx_place_value(printing->warp, &arguments[i == 2 ? 3 : i], printing->lane));
    if (!printing->failed) {
        int n = snprintf(
            line, sizeof(line),
            "%s:%u: %s: block: [%u,%u,%u], thread: [%u,%u,%u] Assertion `%s` failed.\n", texts[1],
            (unsigned int)ptx_place_value(printing->warp, &arguments[2], printing->lane), texts[2],
            block->index[0], block->index[1], block->index[2], thread % size[0],
            thread / size[0] % size[1], thread / size[0] / size[1], texts[0]);
        sim_print(true, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
    }
    for (int i = 0; i < 3; i++)
        free(texts[i]);
}

/* __assertfail(message, file, line, function, size of a character) */
static enum ptx_step run_assert(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    const struct ptx_call *call = &warp->launch->kernel->calls[insn->imm];

    EACH_ACTIVE_LANE(lane, mask)
    {
        struct printing printing = {.warp = warp, .insn = insn, .lane = lane};
        print_assertion(&printing, call->places + call->n_results);
        if (printing.failed)
            return PTX_STEP_STOP;
    }
    return ptx_warp_fault(warp, insn, (unsigned int)__builtin_ctz(mask), PTX_ASSERT, 0, false);
}

ptx_run *ptx_known_function(const struct lex_token *name, unsigned int n_results,
                            unsigned int n_arguments)
{
    if (token_is(name, "vprintf") && n_results <= 1 && n_arguments == 2)
        return run_print;
    if (token_is(name, "__assertfail") && !n_results && n_arguments == 5)
        return run_assert;
    return ptx_heap_function(name, n_results, n_arguments);
}
