# GeForce RTX 3060 12 GB in a PCIe 3.0 x16 slot. Not measured by this project yet.
name NVIDIA GeForce RTX 3060
memory 12GiB
compute_major 8
compute_minor 6
launch_call 3us
launch_device 1.8us
h2d 12.3GB/s
d2h 12.8GB/s
link_both 21GB/s
pageable 6GB/s
d2d 160GB/s
device_memory 330GB/s   # of 360 on paper
instructions 3TB/s
zero_copy 60%
reserve 19us 0ns
create_device 40us 1us
create_host 80us 700us
map 3us 0ns
access 45us 2us
unmap 32us 1us
release 30us 0ns
