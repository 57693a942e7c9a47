/* SPDX-License-Identifier: MIT */
/* Checks of a program that the doctor ran with the library. */
#include <string.h>
#include <sys/wait.h>

#include "tools/patient.h"

/* It was there, and came to an end of its own. */
static bool has_run(const struct heard *heard)
{
    return !*heard->error && !(WIFEXITED(heard->status) && WEXITSTATUS(heard->status) == 127);
}

void check_program(const struct patient *p, struct finding *out)
{
    const struct heard *heard = &p->heard;

    if (*heard->error)
        find(out, VERDICT_FAIL, "%s", heard->error);
    else if (WIFSIGNALED(heard->status))
        find(out, VERDICT_FAIL, "it was ended by signal %d (%s)", WTERMSIG(heard->status),
             strsignal(WTERMSIG(heard->status)));
    else if (WEXITSTATUS(heard->status) == 127)
        find(out, VERDICT_FAIL, "%s cannot be run, or ends with status 127", p->options->rest[0]);
    else if (WEXITSTATUS(heard->status))
        find(out, VERDICT_WARN, "it ended with status %d", WEXITSTATUS(heard->status));
    else if (*heard->complaint)
        find(out, VERDICT_WARN, "it ran; the library says: %s", heard->complaint);
    else
        find(out, VERDICT_PASS, "it ran to its end, and the library has nothing to say");
}

void check_calls(const struct patient *p, struct finding *out)
{
    const struct heard *heard = &p->heard;

    if (!has_run(heard))
        find(out, VERDICT_SKIP, "it did not run");
    else if (!heard->processes && heard->paged)
        find(out, VERDICT_PASS, "it is linked with the driver: what it calls is not looked up");
    else if (!heard->processes)
        find(out, VERDICT_WARN, "it looked up no call of the driver");
    else if (heard->unknown)
        find(out, VERDICT_WARN, "%u that it asks for are not known and run past: %.200s",
             heard->unknown, heard->names);
    else
        find(out, VERDICT_PASS, "of those it asks for, %u are stood in for, %u known and passed on",
             heard->ours, heard->known);
}

void check_paging(const struct patient *p, struct finding *out)
{
    if (!has_run(&p->heard))
        find(out, VERDICT_SKIP, "it did not run");
    else if (p->heard.paged)
        find(out, VERDICT_PASS, "yes");
    else
        find(out, VERDICT_WARN, "no memory of it was paged");
}
