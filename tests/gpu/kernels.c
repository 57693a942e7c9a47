/* SPDX-License-Identifier: MIT */
/*
 * The kernels of the experiments, as text that every driver compiles for its card. Each takes four
 * parameters of 64 bits, a to d:
 *
 *   spin     a nanoseconds long
 *   read     b units of 16 bytes at a, d times over; adds their digest to c
 *   step     b words of 4 bytes, d bytes apart, at a; adds them to c
 *   rows     d rows of 128 bytes, all over the b that lie at a, a row a warp; adds them to c
 *   fill     b units of 16 bytes at a, by the seed c
 *   add      one to each of b words of 8 bytes at a, atomically, by every block
 *   poll     reads the word at a for b nanoseconds; how often goes to c
 *   follow   adds to c the words at b and where the one at a leads, and leaves a and b at d
 *   nothing
 *   many     nothing, of sixteen parameters
 *
 * The digest of a unit depends on its place; digests are added up, so the order does not matter.
 */
#include "tests/gpu/card.h"

#define ENTRY(name)                                                                                \
    ".visible .entry " name "(.param .u64 a, .param .u64 b, .param .u64 c, .param .u64 d)\n{\n"    \
    "    .reg .pred %p;\n"                                                                         \
    "    .reg .b32 %thread, %threads, %block, %blocks, %word, %lane;\n"                            \
    "    .reg .b64 %a, %b, %c, %d, %unit, %stride, %at, %offset, %low, %high, %mixed, %total;\n"   \
    "    .reg .b64 %begin, %now, %count;\n"                                                        \
    "    ld.param.u64 %a, [a];\n"                                                                  \
    "    ld.param.u64 %b, [b];\n"                                                                  \
    "    ld.param.u64 %c, [c];\n"                                                                  \
    "    ld.param.u64 %d, [d];\n"

/* %unit is this thread's number, %stride how many there are. */
#define NUMBER                                                                                     \
    "    mov.u32 %thread, %tid.x;\n"                                                               \
    "    mov.u32 %threads, %ntid.x;\n"                                                             \
    "    mov.u32 %block, %ctaid.x;\n"                                                              \
    "    mov.u32 %blocks, %nctaid.x;\n"                                                            \
    "    mad.lo.u32 %thread, %block, %threads, %thread;\n"                                         \
    "    mul.lo.u32 %threads, %threads, %blocks;\n"                                                \
    "    cvt.u64.u32 %unit, %thread;\n"                                                            \
    "    cvt.u64.u32 %stride, %threads;\n"

/* Until %unit, advanced by %stride, reaches `limit`. */
#define LOOP(name, limit, ...)                                                                     \
    name "_next:\n"                                                                                \
         "    setp.ge.u64 %p, %unit, " limit ";\n"                                                 \
         "    @%p bra " name "_over;\n" __VA_ARGS__ "    add.u64 %unit, %unit, %stride;\n"         \
         "    bra " name "_next;\n" name "_over:\n"

#define ADD_TOTAL "    red.global.add.u64 [%c], %total;\n"

const char kernels_text[] = ".version 5.0\n"
                            ".target sm_50\n"
                            ".address_size 64\n"

    /* One after the other because names of labels are the function's own only in newer versions. */
    ENTRY("spin") "    mov.u64 %begin, %globaltimer;\n"
                  "spin_on:\n"
                  "    mov.u64 %now, %globaltimer;\n"
                  "    sub.u64 %now, %now, %begin;\n"
                  "    setp.lt.u64 %p, %now, %a;\n"
                  "    @%p bra spin_on;\n"
                  "    ret;\n}\n"

    ENTRY("read") NUMBER "    mov.u64 %total, 0;\n"
                         "    mov.u64 %begin, %unit;\n"
                         "read_again:\n"
                         "    setp.eq.u64 %p, %d, 0;\n"
                         "    @%p bra read_done;\n"
                         "    sub.u64 %d, %d, 1;\n"
                         "    mov.u64 %unit, %begin;\n" LOOP(
                             "read", "%b",
                             "    shl.b64 %offset, %unit, 4;\n"
                             "    add.u64 %at, %a, %offset;\n"
                             "    ld.global.v2.u64 {%low, %high}, [%at];\n"
                             "    mul.lo.u64 %mixed, %unit, 0x9e3779b97f4a7c15;\n"
                             "    xor.b64 %mixed, %mixed, %low;\n"
                             "    mul.lo.u64 %mixed, %mixed, 0xbf58476d1ce4e5b9;\n"
                             "    xor.b64 %mixed, %mixed, %high;\n"
                             "    add.u64 %total, %total, %mixed;\n") "    bra read_again;\n"
                                                                      "read_done:\n" ADD_TOTAL
                                                                      "    ret;\n}\n"

    ENTRY("step") NUMBER "    mov.u64 %total, 0;\n" LOOP("step", "%b",
                                                         "    mul.lo.u64 %offset, %unit, %d;\n"
                                                         "    add.u64 %at, %a, %offset;\n"
                                                         "    ld.global.u32 %word, [%at];\n"
                                                         "    cvt.u64.u32 %low, %word;\n"
                                                         "    add.u64 %total, %total, %low;\n")
        ADD_TOTAL "    ret;\n}\n"

    /* The unit is a lane of a row; the row's number is mixed from the warp's. */
    ENTRY("rows") NUMBER
    "    mov.u64 %total, 0;\n"
    "    shl.b64 %d, %d, 5;\n" LOOP("rows", "%d",
                                    "    shr.u64 %mixed, %unit, 5;\n"
                                    "    mul.lo.u64 %mixed, %mixed, 0x9e3779b97f4a7c15;\n"
                                    "    shr.u64 %mixed, %mixed, 17;\n"
                                    "    rem.u64 %mixed, %mixed, %b;\n"
                                    "    shl.b64 %offset, %mixed, 7;\n"
                                    "    and.b64 %low, %unit, 31;\n"
                                    "    shl.b64 %low, %low, 2;\n"
                                    "    add.u64 %offset, %offset, %low;\n"
                                    "    add.u64 %at, %a, %offset;\n"
                                    "    ld.global.u32 %word, [%at];\n"
                                    "    cvt.u64.u32 %low, %word;\n"
                                    "    add.u64 %total, %total, %low;\n") ADD_TOTAL "    ret;\n}\n"

    ENTRY("fill") NUMBER LOOP("fill", "%b",
                              "    shl.b64 %offset, %unit, 4;\n"
                              "    add.u64 %at, %a, %offset;\n"
                              "    mul.lo.u64 %low, %unit, 0xd1342543de82ef95;\n"
                              "    xor.b64 %low, %low, %c;\n"
                              "    add.u64 %high, %unit, %c;\n"
                              "    st.global.v2.u64 [%at], {%low, %high};\n") "    ret;\n}\n"

    ENTRY("add") "    mov.u32 %thread, %tid.x;\n"
                 "    mov.u32 %threads, %ntid.x;\n"
                 "    cvt.u64.u32 %unit, %thread;\n"
                 "    cvt.u64.u32 %stride, %threads;\n" LOOP(
                     "add", "%b",
                     "    shl.b64 %offset, %unit, 3;\n"
                     "    add.u64 %at, %a, %offset;\n"
                     "    red.global.add.u64 [%at], 1;\n") "    ret;\n}\n"

    ENTRY("poll") "    mov.u64 %begin, %globaltimer;\n"
                  "    mov.u64 %count, 0;\n"
                  "poll_on:\n"
                  "    ld.volatile.global.u64 %low, [%a];\n"
                  "    add.u64 %count, %count, 1;\n"
                  "    mov.u64 %now, %globaltimer;\n"
                  "    sub.u64 %now, %now, %begin;\n"
                  "    setp.lt.u64 %p, %now, %b;\n"
                  "    @%p bra poll_on;\n"
                  "    red.global.add.u64 [%c], %count;\n"
                  "    ret;\n}\n"

    ENTRY("follow") "    ld.global.u64 %at, [%a];\n"
                    "    ld.global.u64 %low, [%at];\n"
                    "    ld.global.u64 %high, [%b];\n"
                    "    add.u64 %low, %low, %high;\n"
                    "    red.global.add.u64 [%c], %low;\n"
                    "    st.global.v2.u64 [%d], {%a, %b};\n"
                    "    ret;\n}\n"

    ENTRY("nothing") "    ret;\n}\n"

                     ".visible .entry many(.param .u64 p0, .param .u64 p1, .param .u64 p2, .param "
                     ".u64 p3,\n"
                     "    .param .u64 p4, .param .u64 p5, .param .u64 p6, .param .u64 p7, .param "
                     ".u64 p8,\n"
                     "    .param .u64 p9, .param .u64 p10, .param .u64 p11, .param .u64 p12, "
                     ".param .u64 p13,\n"
                     "    .param .u64 p14, .param .u64 p15)\n{\n    ret;\n}\n";

const char *const kernel_names[KERNEL_COUNT] = {
    [KERNEL_SPIN] = "spin", [KERNEL_READ] = "read",     [KERNEL_STEP] = "step",
    [KERNEL_ROWS] = "rows", [KERNEL_FILL] = "fill",     [KERNEL_ADD] = "add",
    [KERNEL_POLL] = "poll", [KERNEL_FOLLOW] = "follow", [KERNEL_NOTHING] = "nothing",
    [KERNEL_MANY] = "many",
};
