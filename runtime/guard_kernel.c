/* SPDX-License-Identifier: MIT */
/*
 * Before a launch: the check. All blocks compare the copies with their homes, 64 bytes in every so
 * many, in places that change from launch to launch. When one differs, the last block of all takes
 * the digest of each home; one that is not what was expected is copied to its slot again. A home
 * that is as expected is left alone: then a launch in another stream is writing to the copy, which
 * the guard behind that launch takes home. Once a home has changed every check compares all bytes.
 *
 * Behind it: the guard, with one row of thread blocks for each slot. Each adds the mixture of its
 * share (as in digest.c) to the slot's state; the last one to do so compares. Should the sum be
 * wrong, that block alone makes it anew, of the copy and then of the home, so that launches in two
 * streams that add to one state at a time cost time and no more. When only the copy has changed it
 * is copied home. What both are then is what is expected of the next launch, which may write before
 * the host has heard of this one.
 *
 * A slot's state is a sum of 64 bits, and a count that wraps when all blocks have added to it. A
 * check's is such a count, and whether anything differed.
 */
#include "runtime/guard.h"

/* clang-format off */

#define GRID                                                                                       \
    "    .reg .pred %done, %first, %same;\n"                                                       \
    "    .reg .b32 %thread, %threads, %block, %blocks, %entry, %one;\n"                            \
    "    .reg .b32 %place, %count, %most;\n"                                                       \
    "    .reg .b64 %entries, %at, %units, %unit, %stride, %step;\n"                                \
    "    .reg .b64 %low, %high, %mixed, %high_bits, %total, %offset;\n"                            \
    "    .reg .b64 %slot, %home, %expected, %flag, %state, %any;\n"                                \
    "    .reg .b64 %from_slot, %from_home, %to;\n"                                                 \
    "    .shared .align 8 .b64 alone;\n"                                                           \
    "    .shared .align 4 .b32 last;\n"                                                            \
    "    ld.param.u64 %any, [any];\n"                                                              \
    "    mov.u32 %thread, %tid.x;\n"                                                               \
    "    mov.u32 %threads, %ntid.x;\n"                                                             \
    "    mov.u32 %block, %ctaid.x;\n"                                                              \
    "    mov.u32 %blocks, %nctaid.x;\n"                                                            \
    "    setp.eq.u32 %first, %thread, 0;\n"                                                        \
    "    mad.lo.u32 %place, %block, %threads, %thread;\n"                                          \
    "    mul.lo.u32 %count, %threads, %blocks;\n"

/* What the entry of number %entry says. */
#define READ_ENTRY                                                                                 \
    "    mul.wide.u32 %offset, %entry, 56;\n"                                                      \
    "    mov.b64 %entries, entries;\n"                                                             \
    "    add.u64 %entries, %entries, %offset;\n"                                                   \
    "    ld.param.u64 %slot, [%entries];\n"                                                        \
    "    ld.param.u64 %home, [%entries+8];\n"                                                      \
    "    ld.param.u64 %units, [%entries+16];\n"                                                    \
    "    ld.param.u64 %expected, [%entries+24];\n"                                                 \
    "    ld.param.u64 %flag, [%entries+32];\n"                                                     \
    "    ld.global.u64 %expected, [%expected];\n"

/* Adds the mixture of units from %unit on, every %stride, of the memory at `from`, to `total`. */
#define ADD_UP(name, from, total)                                                                  \
    "    shl.b64 %offset, %unit, 4;\n"                                                             \
    "    add.u64 %at, " from ", %offset;\n"                                                        \
    "    shl.b64 %step, %stride, 4;\n"                                                             \
    "    mov.u64 " total ", 0;\n" name "_next:\n"                                                  \
    "    setp.ge.u64 %done, %unit, %units;\n"                                                      \
    "    @%done bra " name "_over;\n"                                                              \
    "    ld.global.v2.u64 {%low, %high}, [%at];\n"                                                 \
    "    mul.lo.u64 %mixed, %unit, 0x9e3779b97f4a7c15;\n"                                          \
    "    xor.b64 %mixed, %mixed, %low;\n"                                                          \
    "    mul.lo.u64 %mixed, %mixed, 0xbf58476d1ce4e5b9;\n"                                         \
    "    shr.u64 %high_bits, %mixed, 29;\n"                                                        \
    "    xor.b64 %mixed, %mixed, %high_bits;\n"                                                    \
    "    add.u64 %mixed, %mixed, %high;\n"                                                         \
    "    mul.lo.u64 %mixed, %mixed, 0x94d049bb133111eb;\n"                                         \
    "    shr.u64 %high_bits, %mixed, 32;\n"                                                        \
    "    xor.b64 %mixed, %mixed, %high_bits;\n"                                                    \
    "    add.u64 " total ", " total ", %mixed;\n"                                                  \
    "    add.u64 %unit, %unit, %stride;\n"                                                         \
    "    add.u64 %at, %at, %step;\n"                                                               \
    "    bra " name "_next;\n" name "_over:\n"

/* The same by this block alone, for all of it; every thread has the sum. */
#define ADD_UP_ALONE(name, from, total)                                                            \
    "    mov.u64 %total, 0;\n"                                                                     \
    "    bar.sync 0;\n"                                                                            \
    "    @%first st.shared.u64 [alone], %total;\n"                                                 \
    "    bar.sync 0;\n"                                                                            \
    "    cvt.u64.u32 %unit, %thread;\n"                                                            \
    "    cvt.u64.u32 %stride, %threads;\n"                                                         \
    ADD_UP(name, from, "%total")                                                                   \
    "    atom.shared.add.u64 %total, [alone], %total;\n"                                           \
    "    bar.sync 0;\n"                                                                            \
    "    ld.shared.u64 " total ", [alone];\n"

/* Copies all of it, by this block alone. */
#define COPY_ALONE(from, to)                                                                       \
    "    cvt.u64.u32 %unit, %thread;\n"                                                            \
    "copy:\n"                                                                                      \
    "    setp.ge.u64 %done, %unit, %units;\n"                                                      \
    "    @%done bra tell;\n"                                                                       \
    "    shl.b64 %offset, %unit, 4;\n"                                                             \
    "    add.u64 %at, " from ", %offset;\n"                                                        \
    "    add.u64 %to, " to ", %offset;\n"                                                          \
    "    ld.global.v2.u64 {%low, %high}, [%at];\n"                                                 \
    "    st.global.v2.u64 [%to], {%low, %high};\n"                                                 \
    "    add.u64 %unit, %unit, %stride;\n"                                                         \
    "    bra copy;\n"                                                                              \
    "tell:\n"                                                                                      \
    "    bar.sync 0;\n"

#define TELL                                                                                       \
    "    st.volatile.global.u32 [%flag], %one;\n"                                                  \
    "    membar.sys;\n"                                                                            \
    "    st.volatile.global.u32 [%any], %one;\n"

/* Whether this is the last block of `most` + 1 to come here: then `found` makes %one of the state,
 * else it is 0. Every thread has it, and blocks with 0 end. */
#define LAST_TO_COME(most, count_at, found)                                                        \
    "    membar.gl;\n"                                                                             \
    "    bar.sync 0;\n"                                                                            \
    "    @!%first bra counted;\n"                                                                  \
    most                                                                                           \
    "    atom.global.inc.u32 %count, [%state+" count_at "], %most;\n"                              \
    "    mov.u32 %one, 0;\n"                                                                       \
    "    setp.ne.u32 %same, %count, %most;\n"                                                      \
    "    @%same bra told;\n"                                                                       \
    "    membar.gl;\n"                                                                             \
    found                                                                                          \
    "told:\n"                                                                                      \
    "    st.shared.u32 [last], %one;\n"                                                            \
    "counted:\n"                                                                                   \
    "    bar.sync 0;\n"                                                                            \
    "    ld.shared.u32 %one, [last];\n"                                                            \
    "    setp.eq.u32 %done, %one, 0;\n"                                                            \
    "    @%done bra end;\n"

const char guard_kernel_text[] =
    ".version 5.0\n"
    ".target sm_50\n"
    ".address_size 64\n"

    ".visible .entry vramshim_check(\n"
    "    .param .align 8 .b8 entries[1792], .param .u64 any, .param .u64 state,\n"
    "    .param .u64 changed, .param .u64 seed)\n"
    "{\n"
    "    .reg .b32 %entries_all;\n"
    "    .reg .b64 %apart, %mask, %changed, %seed, %lane, %window, %other_low, %other_high;\n"
    GRID
    "    ld.param.u64 %state, [state];\n"
    "    ld.param.u64 %changed, [changed];\n"
    "    ld.param.u64 %seed, [seed];\n"
    "    mov.u32 %entry, %ctaid.y;\n"
    "    mov.u32 %entries_all, %nctaid.y;\n"
    READ_ENTRY
    "    ld.param.u64 %apart, [%entries+48];\n"
    "    ld.global.u32 %one, [%changed];\n"
    "    setp.ne.u32 %same, %one, 0;\n"
    "    @%same mov.u64 %apart, 4;\n"
    "    sub.u64 %mask, %apart, 4;\n"
    "    and.b32 %one, %place, 3;\n"
    "    cvt.u64.u32 %lane, %one;\n"
    "    shr.u32 %place, %place, 2;\n"
    "    cvt.u64.u32 %window, %place;\n"
    "    shr.u32 %count, %count, 2;\n"
    "    cvt.u64.u32 %stride, %count;\n"
    "compare:\n"
    "    mul.lo.u64 %unit, %window, %apart;\n"
    "    setp.ge.u64 %done, %unit, %units;\n"
    "    @%done bra compared;\n"
    "    add.u64 %mixed, %window, %seed;\n"
    "    mul.lo.u64 %mixed, %mixed, 0x9e3779b97f4a7c15;\n"
    "    shr.u64 %mixed, %mixed, 40;\n"
    "    and.b64 %mixed, %mixed, %mask;\n"
    "    add.u64 %unit, %unit, %mixed;\n"
    "    add.u64 %unit, %unit, %lane;\n"
    "    add.u64 %window, %window, %stride;\n"
    "    setp.ge.u64 %done, %unit, %units;\n"
    "    @%done bra compare;\n"
    "    shl.b64 %offset, %unit, 4;\n"
    "    add.u64 %at, %slot, %offset;\n"
    "    add.u64 %to, %home, %offset;\n"
    "    ld.global.v2.u64 {%low, %high}, [%at];\n"
    "    ld.global.v2.u64 {%other_low, %other_high}, [%to];\n"
    "    xor.b64 %low, %low, %other_low;\n"
    "    xor.b64 %high, %high, %other_high;\n"
    "    or.b64 %low, %low, %high;\n"
    "    setp.eq.u64 %same, %low, 0;\n"
    "    @%same bra compare;\n"
    "    mov.u32 %one, 1;\n"
    "    red.global.or.b32 [%state+4], %one;\n"
    "compared:\n"
    LAST_TO_COME("    mul.lo.u32 %most, %blocks, %entries_all;\n"
                 "    sub.u32 %most, %most, 1;\n",
                 "0",
                 "    atom.global.exch.b32 %one, [%state+4], 0;\n")
    /* The last block, when something is not the same. */
    "    mov.u32 %entry, 0;\n"
    "each:\n"
    READ_ENTRY
    "    setp.eq.u64 %done, %slot, %home;\n"
    "    @%done bra following;\n"
    ADD_UP_ALONE("home", "%home", "%from_home")
    "    setp.eq.u64 %done, %from_home, %expected;\n"
    "    @%done bra following;\n"
    COPY_ALONE("%home", "%slot")
    "    @!%first bra following;\n"
    "    mov.u32 %one, 2;\n"
    "    st.global.u32 [%changed], %one;\n"
    TELL
    "following:\n"
    "    add.u32 %entry, %entry, 1;\n"
    "    setp.lt.u32 %same, %entry, %entries_all;\n"
    "    @%same bra each;\n"
    "end:\n"
    "    ret;\n"
    "}\n"

    ".visible .entry vramshim_guard(\n"
    "    .param .align 8 .b8 entries[1792], .param .u64 any)\n"
    "{\n"
    GRID
    "    mov.u32 %entry, %ctaid.y;\n"
    READ_ENTRY
    "    ld.param.u64 %state, [%entries+40];\n"
    "    cvt.u64.u32 %unit, %place;\n"
    "    cvt.u64.u32 %stride, %count;\n"
    /* What all blocks find together. */
    ADD_UP("all", "%slot", "%total")
    "    red.global.add.u64 [%state], %total;\n"
    LAST_TO_COME("    sub.u32 %most, %blocks, 1;\n",
                 "8",
                 "    mov.u64 %mixed, 0;\n"
                 "    atom.global.exch.b64 %total, [%state], %mixed;\n"
                 "    setp.ne.u64 %same, %total, %expected;\n"
                 "    selp.u32 %one, 1, 0, %same;\n")
    /* The last block, when that is not what was expected. */
    ADD_UP_ALONE("slot", "%slot", "%from_slot")
    "    setp.eq.u64 %done, %from_slot, %expected;\n"
    "    @%done bra end;\n"
    ADD_UP_ALONE("home", "%home", "%from_home")
    "    mov.u32 %one, 2;\n"
    "    setp.ne.u64 %done, %from_home, %expected;\n"
    "    @%done bra tell;\n"
    "    mov.u32 %one, 1;\n"
    COPY_ALONE("%slot", "%home")
    "    @!%first bra end;\n"
    /* What the copy and the home have in common from now on. */
    "    ld.param.u64 %at, [%entries+24];\n"
    "    setp.eq.u32 %same, %one, 1;\n"
    "    @%same st.global.u64 [%at], %from_slot;\n"
    "    setp.eq.u64 %same, %from_slot, %from_home;\n"
    "    @%same st.global.u64 [%at], %from_slot;\n"
    TELL
    "end:\n"
    "    ret;\n"
    "}\n";

_Static_assert(sizeof(struct guard_entry) == 56 && GUARD_AT_ONCE * 56 == 1792,
               "as the kernels have it");
