# NVIDIA H200 SXM, PCIe 5.0 x16. Not measured by this project yet.
name NVIDIA H200
memory 141GiB
compute_major 9
compute_minor 0
launch_call 2.2us
launch_device 1.5us
h2d 55GB/s              # published copies from pinned memory: 54 to 56
d2h 55GB/s
link_both 95GB/s
pageable 12GB/s
d2d 2TB/s
device_memory 4.1TB/s   # of 4.8 on paper
instructions 20TB/s     # thread instructions, not bytes
zero_copy 64%           # H100: 35 of 55
# Remapping 2 MiB with everything that belongs to it: 71 us.
reserve 19us 0ns
create_device 30us 1us
create_host 60us 600us  # pinning runs at 1 to 2 GB/s
map 2us 0ns
access 38us 2us
unmap 30us 1us
release 23us 0ns
