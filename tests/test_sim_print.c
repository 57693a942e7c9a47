/* SPDX-License-Identifier: MIT */

/* What kernels print appears where the host prints; a failed assertion ends the context. */

#include <stdio.h>
#include <unistd.h>

#include "tests/sim_test.h"

TestSuite(sim_print, .timeout = 30);

static const char text[] =
    ".version 7.0\n.target sm_75\n.address_size 64\n"
    ".extern .func (.param .b32 r) vprintf(.param .b64 f, .param .b64 a);\n"
    ".extern .func __assertfail(.param .b64 m, .param .b64 f, .param .b32 l, .param .b64 n, "
    ".param .b64 c);\n"
    ".global .align 1 .b8 format[6] = {97, 32, 37, 100, 10, 0};\n"
    ".entry say() { .reg .b32 %r<3>; .reg .b64 %rd<3>; .local .align 8 .b8 frame[8];\n"
    "mov.u32 %r1, %tid.x; st.local.u32 [frame], %r1; mov.u64 %rd1, format;\n"
    "cvta.global.u64 %rd1, %rd1; mov.u64 %rd2, frame; cvta.local.u64 %rd2, %rd2;\n"
    "{ .param .b64 f; .param .b64 a; .param .b32 n; st.param.b64 [f], %rd1;\n"
    "st.param.b64 [a], %rd2; call.uni (n), vprintf, (f, a); } ret; }\n"
    ".entry check() { .reg .b64 %rd<3>; mov.u64 %rd1, format; cvta.global.u64 %rd1, %rd1;\n"
    "{ .param .b64 a; .param .b64 b; .param .b32 c; .param .b64 d; .param .b64 e;\n"
    "st.param.b64 [a], %rd1; st.param.b64 [b], %rd1; st.param.b32 [c], 3;\n"
    "st.param.b64 [d], %rd1; st.param.b64 [e], 1;\n"
    "call.uni __assertfail, (a, b, c, d, e); } ret; }\n";

/* From here on what is written to `fd` can be read again with caught(). */
static FILE *catch_output(int fd)
{
    FILE *file = tmpfile();

    fflush(NULL);
    cr_assert(file && dup2(fileno(file), fd) >= 0);
    return file;
}

static const char *caught(FILE *file)
{
    static char all[4096];

    fflush(NULL);
    rewind(file);
    all[fread(all, 1, sizeof(all) - 1, file)] = '\0';
    return all;
}

static void launch(CUmodule module, const char *name, unsigned int threads)
{
    CUfunction function;

    ok(cuModuleGetFunction(&function, module, name));
    ok(cuLaunchKernel(function, 1, 1, 1, threads, 1, 1, 0, NULL, NULL, NULL));
}

Test(sim_print, printing_appears_when_the_host_waits)
{
    int terminal = dup(STDOUT_FILENO);
    CUmodule module;
    FILE *file;
    char said[4096];

    start();
    ok(cuModuleLoadData(&module, text));
    file = catch_output(STDOUT_FILENO);
    launch(module, "say", 2);
    ok(cuCtxSynchronize());
    strcpy(said, caught(file));
    dup2(terminal, STDOUT_FILENO);
    cr_assert_str_eq(said, "a 0\na 1\n");
}

Test(sim_print, a_failed_assertion_breaks_the_context)
{
    int terminal = dup(STDERR_FILENO);
    CUmodule module;
    FILE *file;
    char said[4096];

    start();
    ok(cuModuleLoadData(&module, text));
    file = catch_output(STDERR_FILENO);
    launch(module, "check", 1);
    fails(cuCtxSynchronize(), CUDA_ERROR_ASSERT);
    strcpy(said, caught(file));
    dup2(terminal, STDERR_FILENO);
    cr_assert(strstr(said, "block: [0,0,0], thread: [0,0,0] Assertion `a %d\n` failed.\n"), "%s",
              said);
    fails(cuCtxSynchronize(), CUDA_ERROR_ASSERT);
}
