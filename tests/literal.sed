# SPDX-License-Identifier: MIT
# Text as a C string literal, line by line.
s/\\/\\\\/g
s/"/\\"/g
s/^/"/
s/$/\\n"/
