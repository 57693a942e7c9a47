# A card of the middle that does not exist; what the other profiles do not say is said here.
name Simulated GPU
memory 8GiB
compute_major 8
compute_minor 6
call 200ns
launch_call 2.5us
copy_call 1.5us
event_call 400ns
query_call 300ns
wait_call 4us
graph_call 5us
graph_node 300ns
launch_device 1.5us
graph_kernel 900ns
copy_latency 2us
h2d 12GB/s
d2h 12.5GB/s
link_both 20GB/s
pageable 6GB/s
d2d 150GB/s
device_memory 360GB/s
instructions 2TB/s
zero_copy 60%
reserve 19us 0ns
create_device 30us 1us
create_host 60us 600us
map 2us 0ns
access 36us 2us
unmap 26us 1us
release 23us 0ns
allocate 60us 500ns
free 30us 500ns
pin 60us 600us
unpin 60us 100us
