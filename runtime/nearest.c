/* SPDX-License-Identifier: MIT */
/*
 * Optimal string alignment distance over three rows of the table: insertion, deletion,
 * substitution, and the swap of two neighbours, which is the commonest slip of the hand.
 */
#include "runtime/nearest.h"

#include <ctype.h>
#include <string.h>

static unsigned int least(unsigned int a, unsigned int b, unsigned int c)
{
    unsigned int ab = a < b ? a : b;

    return ab < c ? ab : c;
}

static int same(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

unsigned int nearest_distance(const char *a, const char *b)
{
    unsigned int rows[3][NEAREST_MAX + 1];
    size_t n_a = strnlen(a, NEAREST_MAX);
    size_t n_b = strnlen(b, NEAREST_MAX);

    for (size_t j = 0; j <= n_b; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= n_a; i++) {
        unsigned int *row = rows[i % 3];
        const unsigned int *above = rows[(i + 2) % 3];
        const unsigned int *two_above = rows[(i + 1) % 3];

        row[0] = i;
        for (size_t j = 1; j <= n_b; j++) {
            row[j] = least(row[j - 1] + 1, above[j] + 1, above[j - 1] + !same(a[i - 1], b[j - 1]));
            if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
                row[j] = least(row[j], row[j], two_above[j - 2] + 1);
        }
    }
    return rows[n_a % 3][n_b];
}

const char *nearest_choice(const char *word, const char *const *choices, size_t n_choices)
{
    const char *best = NULL;
    unsigned int best_distance = ~0u;

    for (size_t i = 0; i < n_choices; i++) {
        unsigned int distance = nearest_distance(word, choices[i]);

        if (distance < best_distance) {
            best_distance = distance;
            best = choices[i];
        }
    }
    return best;
}
