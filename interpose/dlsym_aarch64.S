/* SPDX-License-Identifier: MIT */
/*
 * void *dlsym(void *handle, const char *symbol)
 *
 * Jumps to the next dlsym() unless `symbol` is cu[A-Z]* or nvml* and `handle` is a real one; see
 * resolve.c. A jump keeps the caller's return address in the link register.
 */

    .text
    .globl dlsym
    .type dlsym, %function
    .p2align 4
dlsym:
    .cfi_startproc
    hint 34 /* bti c */
    add x9, x0, 1 /* RTLD_NEXT is -1, RTLD_DEFAULT is 0 */
    cmp x9, 1
    b.ls .Lnext
    cbz x1, .Lnext
    ldrb w9, [x1]
    cmp w9, 'c'
    b.ne .Lnot_cu
    ldrb w9, [x1, 1]
    cmp w9, 'u'
    b.ne .Lnext
    ldrb w9, [x1, 2]
    sub w9, w9, 'A'
    cmp w9, ('Z' - 'A')
    b.hi .Lnext
    b resolve_in_handle
.Lnot_cu:
    cmp w9, 'n'
    b.ne .Lnext
    ldrb w9, [x1, 1]
    cmp w9, 'v'
    b.ne .Lnext
    ldrb w9, [x1, 2]
    cmp w9, 'm'
    b.ne .Lnext
    ldrb w9, [x1, 3]
    cmp w9, 'l'
    b.ne .Lnext
    b resolve_in_handle
.Lnext:
    adrp x16, resolve_next
    add x16, x16, :lo12:resolve_next
    ldar x16, [x16]
    cbz x16, .Lfind
    br x16
.Lfind:
    stp x29, x30, [sp, -32]!
    .cfi_def_cfa_offset 32
    .cfi_offset x29, -32
    .cfi_offset x30, -24
    stp x0, x1, [sp, 16]
    mov x29, sp
    bl resolve_find_next
    mov x16, x0
    ldp x0, x1, [sp, 16]
    ldp x29, x30, [sp], 32
    .cfi_restore x30
    .cfi_restore x29
    .cfi_def_cfa_offset 0
    br x16
    .cfi_endproc
    .size dlsym, . - dlsym

    .hidden resolve_next
    .hidden resolve_find_next
    .hidden resolve_in_handle
    .section .note.GNU-stack, "", %progbits
