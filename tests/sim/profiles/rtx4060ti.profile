# GeForce RTX 4060 Ti 16 GB, PCIe 4.0 with eight lanes. Not measured by this project yet.
name NVIDIA GeForce RTX 4060 Ti
memory 16GiB
compute_major 8
compute_minor 9
launch_call 2.5us
launch_device 1.5us
h2d 12.6GB/s
d2h 13GB/s
link_both 22GB/s
pageable 6GB/s
d2d 130GB/s
device_memory 265GB/s   # of 288 on paper
instructions 5TB/s
zero_copy 60%
reserve 19us 0ns
create_device 30us 1us
create_host 60us 600us
map 2us 0ns
access 36us 2us
unmap 26us 1us
release 23us 0ns
