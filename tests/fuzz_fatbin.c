/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer: any bytes as a fatbin. The first byte is the card's architecture; the second, when it
 * is even, has the magic number and the size of the entries put right, so that the search gets past
 * them.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/fatbin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t head[8] = {0x50, 0xed, 0x55, 0xba, 1, 0, 16, 0};
    size_t bytes = size < 2 ? 0 : size - 2;
    uint64_t entries = bytes - 16;
    uint8_t *fatbin = malloc(bytes + 1);
    char *out;

    if (!bytes || !fatbin) {
        free(fatbin);
        return 0;
    }
    memcpy(fatbin, data + 2, bytes);
    if (bytes >= 16 && data[1] % 2 == 0) {
        memcpy(fatbin, head, sizeof(head));
        memcpy(fatbin + 8, &entries, sizeof(entries));
    }
    if (fatbin_open(fatbin, bytes) == fatbin && !fatbin_ptx(fatbin, bytes, data[0], &out)) {
        if (strlen(out) > FATBIN_TEXT_MAX)
            abort();
        free(out);
    }
    free(fatbin);
    return 0;
}
