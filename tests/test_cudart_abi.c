/* SPDX-License-Identifier: MIT */
/*
 * The stand-in runtime library's header against the toolkit's. Skipped where no toolkit is
 * installed.
 */

#include <stdbool.h>
#include <stdio.h>

#ifdef HAVE_TOOLKIT
#include "tests/cudart/abi_table.h"

static bool rows_agree(void)
{
    bool agree = true;

    for (size_t i = 0; i < abi_count; i++) {
        const struct abi_row *own = &abi_own[i];
        const struct abi_row *toolkit = &abi_toolkit[i];

        if (own->value == toolkit->value && own->bytes == toolkit->bytes)
            continue;
        printf("# %s is %lld, %zu bytes; the toolkit's is %lld, %zu bytes\n", own->name, own->value,
               own->bytes, toolkit->value, toolkit->bytes);
        agree = false;
    }
    return agree;
}

int main(void)
{
    unsigned int n = 1;
    bool right = rows_agree();

    printf("%s 1 - constants and structures are the toolkit's\n", right ? "ok" : "not ok");
    for (size_t i = 0; i < abi_prototype_count; i++) {
        right &= abi_prototypes[i].matches;
        printf("%s %u - %s has the toolkit's parameters\n",
               abi_prototypes[i].matches ? "ok" : "not ok", ++n, abi_prototypes[i].name);
    }
    printf("1..%u\n", n);
    return right ? 0 : 1;
}
#else
int main(void)
{
    printf("1..0 # SKIP no CUDA toolkit to compare with\n");
    return 0;
}
#endif
