/* SPDX-License-Identifier: MIT */
/*
 * Two libraries in one process, each with a runtime of its own (the arguments): both meet us, and
 * what one of them closes the other keeps.
 */

#include "tests/preload/probe.h"

struct copy {
    find_fn find;
    void (*close)(void);
};

static bool load(const char *path, struct copy *out)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    if (!check(library != NULL, "%s", dlerror()))
        return false;
    out->find = (find_fn)dlsym(library, "copy_find");
    out->close = (void (*)(void))dlsym(library, "copy_close");
    return check(out->find && out->close, "%s lacks its functions", path);
}

int main(int argc, char **argv)
{
    struct copy first;
    struct copy second;

    if (argc != 3 || !load(argv[1], &first) || !load(argv[2], &second))
        return 2;
    check_memory_works(first.find, NULL);
    check_memory_works(second.find, NULL);
    check(first.find(NULL, "cuMemAlloc_v2") == second.find(NULL, "cuMemAlloc_v2"),
          "the copies got different functions");
    first.close();
    check_memory_works(second.find, NULL);
    second.close();
    check_memory_works(first.find, NULL);
    return finish();
}
