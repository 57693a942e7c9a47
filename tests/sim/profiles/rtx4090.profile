# GeForce RTX 4090, PCIe 4.0 x16. Not measured by this project yet.
name NVIDIA GeForce RTX 4090
memory 24GiB
compute_major 8
compute_minor 9
launch_call 2us
launch_device 1.3us
h2d 25GB/s              # published: 25 to 26
d2h 26GB/s
link_both 44GB/s
pageable 10GB/s
d2d 430GB/s
device_memory 920GB/s   # of 1008 on paper
instructions 20TB/s
zero_copy 66%           # real decoding: 45 to 66
reserve 19us 0ns
create_device 30us 1us
create_host 60us 600us
map 2us 0ns
access 36us 2us
unmap 26us 1us
release 23us 0ns
