/* SPDX-License-Identifier: MIT */
/*
 * Prints the tensors of an input, one line each: name, type, dimensions as in the file of the
 * planner's reader (the contiguous one first), place in the file, bytes. For test_readers.py.
 */
#include <inttypes.h>
#include <stdio.h>

#include "planner/input.h"

static void print(const struct tensor *tensor)
{
    printf("%.*s\t%s\t", (int)tensor->name.size, tensor->name.data,
           tensor->type ? tensor->type->name : "unknown");
    for (uint32_t i = 0; i < tensor->n_dims; i++)
        printf("%s%" PRIu64, i ? "," : "", tensor->dims[i]);
    printf("\t%" PRIu64 "\t%" PRIu64 "\n", tensor->offset, tensor->bytes);
}

int main(int argc, char **argv)
{
    struct inputs inputs = {0};
    struct message message;

    for (int i = 1; i < argc; i++)
        if (inputs_open(&inputs, argv[i], &message) != 0) {
            fprintf(stderr, "%s\n", message.text);
            return 4;
        }
    for (size_t i = 0; i < inputs.n; i++)
        for (size_t k = 0; k < inputs.list[i]->n_tensors; k++)
            print(&inputs.list[i]->tensors[k]);
    inputs_fini(&inputs);
    return 0;
}
