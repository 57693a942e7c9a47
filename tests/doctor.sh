# SPDX-License-Identifier: MIT
# For tests of vramshim doctor, behind tap.sh: a small simulated card, nothing of the person's own
# settings, and $library, a shared library that is there.
export LC_ALL=C.UTF-8 XDG_CONFIG_HOME="$scratch/config" TMPDIR="$scratch" SIM_VRAM=64MiB
unset LD_PRELOAD SIM_PROFILE
for name in $(env | sed -n 's/^\(VRAMSHIM_[A-Z_]*\)=.*/\1/p'); do
    unset "$name"
done
library=$(realpath "$(ldd /bin/sh | awk '/libc\.so/ { print $3 }')")
