/* SPDX-License-Identifier: MIT */
/*
 * void *dlsym(void *handle, const char *symbol)
 *
 * Jumps to the next dlsym() unless `symbol` is cu[A-Z]* or nvml* and `handle` is a real one; see
 * resolve.c. A jump keeps the caller's return address on top of the stack.
 */

#ifdef __CET__
#include <cet.h>
#endif

    .text
    .globl dlsym
    .type dlsym, @function
    .p2align 4
dlsym:
    .cfi_startproc
    endbr64
    leaq 1(%rdi), %rax /* RTLD_NEXT is -1, RTLD_DEFAULT is 0 */
    cmpq $1, %rax
    jbe .Lnext
    testq %rsi, %rsi
    jz .Lnext
    cmpb $'c', (%rsi)
    jne .Lnot_cu
    cmpb $'u', 1(%rsi)
    jne .Lnext
    movzbl 2(%rsi), %eax
    subl $'A', %eax
    cmpl $('Z' - 'A'), %eax
    ja .Lnext
    jmp resolve_in_handle
.Lnot_cu:
    cmpb $'n', (%rsi)
    jne .Lnext
    cmpb $'v', 1(%rsi)
    jne .Lnext
    cmpb $'m', 2(%rsi)
    jne .Lnext
    cmpb $'l', 3(%rsi)
    jne .Lnext
    jmp resolve_in_handle
.Lnext:
    movq resolve_next(%rip), %rax
    testq %rax, %rax
    jz .Lfind
    jmp *%rax
.Lfind:
    pushq %rdi
    .cfi_adjust_cfa_offset 8
    pushq %rsi
    .cfi_adjust_cfa_offset 8
    subq $8, %rsp
    .cfi_adjust_cfa_offset 8
    call resolve_find_next
    addq $8, %rsp
    .cfi_adjust_cfa_offset -8
    popq %rsi
    .cfi_adjust_cfa_offset -8
    popq %rdi
    .cfi_adjust_cfa_offset -8
    jmp *%rax
    .cfi_endproc
    .size dlsym, . - dlsym

    .hidden resolve_next
    .hidden resolve_find_next
    .hidden resolve_in_handle
    .section .note.GNU-stack, "", @progbits
