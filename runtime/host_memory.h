/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * How much host memory can be pinned now.
 *
 * The smaller of what the kernel calls available and the room left under every control group limit
 * (v1 and v2) that applies to this process; page cache that a group could drop counts as room.
 * RLIMIT_MEMLOCK plays no part: the driver pins on the process's behalf.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes; 0 when the kernel does not say. `root` is put before /proc and before the mount points
 * found there: "" for this machine. Allocates. */
uint64_t host_memory_available(const char *root);

/* The total size of host memory in bytes, 0 when unknown. */
uint64_t host_memory_total(const char *root);

/* Bytes of address space that the process may still take; UINT64_MAX when RLIMIT_AS sets no limit.
 */
uint64_t host_memory_addresses(void);

/* The pieces, which read no file. Each returns false, output untouched, when there is no answer. */

/* A line "KEY: 12 kB" or "KEY 12", as bytes. */
bool host_memory_parse_field(const char *line, const char *key, uint64_t *out);

/* A limit file's text: a number, or "max", which is UINT64_MAX. */
bool host_memory_parse_limit(const char *text, uint64_t *out);

/* The group's path in a line of /proc/self/cgroup: of the unified hierarchy, or of v1's memory
 * controller. Points into `line`, up to its end. */
bool host_memory_parse_cgroup(const char *line, bool unified, const char **out);

/* A line of /proc/self/mountinfo that mounts that hierarchy. `top` is the group that is seen at
 * `point`. */
struct host_memory_mount {
    char top[512];
    char point[512];
};
bool host_memory_parse_mount(const char *line, bool unified, struct host_memory_mount *out);
