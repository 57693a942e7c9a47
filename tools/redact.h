/* SPDX-License-Identifier: MIT */
#pragma once

/* The text with the names of the user, of the machine and of the home folder replaced, to be freed;
 * NULL when there is no memory. */
char *redact(const char *text);
