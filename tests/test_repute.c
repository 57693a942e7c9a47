/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>

#include "runtime/image.h"
#include "runtime/trust.h"
#include "tests/reported.h"

/* Two modules of one text, and functions of them. */
static const char text[] = ".version 6.3\n.target sm_75\n";
static char module, twin, reads, reads_too, writes;

static CUfunction handle(const char *of)
{
    return (CUfunction)(uintptr_t)of;
}

static void attach(const char *owner, const char *name, const char *to)
{
    image_attach(owner, name, to, IMAGE_HANDLE_FUNCTION);
}

static void load(void)
{
    image_identify(&module, text, false);
    image_identify(&twin, text, false);
    attach(&module, "reads", &reads);
    attach(&module, "writes", &writes);
    attach(&twin, "reads", &reads_too);
}

/* The plan knows "reads". */
static void open_plan(void)
{
    static struct roll plan;
    uint64_t digest;
    char *name;

    load();
    cr_assert_eq(image_function(&reads, &digest, &name), 0);
    cr_assert_eq(roll_add(&plan, digest, name), 0);
    free(name);
    repute_open(&plan);
}

Test(repute, knows_nobody_without_a_plan)
{
    load();
    repute_earned(handle(&reads));
    cr_expect_not(repute_is_open());
    cr_expect_not(repute_find(handle(&reads)));
    cr_expect_eq(n_reported(), 0);
}

Test(repute, knows_whom_the_plan_names_by_code_and_name)
{
    open_plan();
    cr_expect(repute_find(handle(&reads)));
    cr_expect(repute_find(handle(&reads_too)), "the same code, loaded once more");
    cr_expect_not(repute_find(handle(&writes)));
    image_identify(&twin, ".version 6.4\n", false);
    attach(&twin, "reads", &reads_too);
    cr_expect_not(repute_find(handle(&reads_too)), "other code of that name");
}

Test(repute, reports_whom_this_run_has_seen_each_once)
{
    open_plan();
    cr_expect_eq(n_reported(), 0);
    repute_earned(handle(&writes));
    repute_earned(handle(&reads));
    repute_earned(handle(&reads_too));
    cr_expect_eq(n_reported(), 2);
}

Test(repute, does_not_report_whom_it_has_seen_otherwise_before_or_after)
{
    open_plan();
    repute_earned(handle(&reads));
    repute_barred(handle(&reads_too));
    repute_barred(handle(&writes));
    repute_earned(handle(&writes));
    cr_expect_eq(n_reported(), 0);
    cr_expect_not(repute_find(handle(&reads)), "whatever the plan says");
}

Test(repute, of_all_is_gone_when_it_may_have_been_anybody)
{
    open_plan();
    repute_earned(handle(&reads));
    repute_refute();
    repute_earned(handle(&writes));
    cr_expect_not(repute_find(handle(&reads)));
    cr_expect_eq(n_reported(), 0);
}

Test(repute, is_what_trust_says)
{
    struct trust trust = {.uses = NULL};

    open_plan();
    cr_assert_not(trust_function(&trust, handle(&reads)));
    cr_assert_not(trust_function(&trust, handle(&writes)));
    trust_bar(&trust, handle(&writes));
    trust_earn(&trust);
    cr_expect_eq(n_reported(), 1);
    trust_forget(&trust);
}

Test(repute, of_the_plan_is_trusted_as_long_as_that_is_followed)
{
    struct trust trust = {.uses = NULL};

    open_plan();
    (void)trust_function(&trust, handle(&reads));
    trust_know(&trust, trust_find_function(&trust, handle(&reads)));
    cr_expect(trust_function(&trust, handle(&reads)));
    cr_expect_not(trust.waiting);
    trust_note_anew(&trust);
    cr_expect(trust_function(&trust, handle(&reads)));
    trust_stop(&trust);
    cr_expect_not(trust_function(&trust, handle(&reads)));
    trust_forget(&trust);
}
