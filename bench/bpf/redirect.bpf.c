/* The ceiling of the comparison: every frame of one device goes to another, unchanged, without leaving the kernel. */
#include "kernel.h"

#define DEVMAP 14 /* BPF_MAP_TYPE_DEVMAP */

struct {
	NUMBER(type, DEVMAP);
	NUMBER(max_entries, 1);
	TYPE(key, u32);
	TYPE(value, u32);
} target SEC(".maps");

SEC("xdp")
int redirect(struct xdp_md *frame)
{
	(void)frame;
	return (int)bpf_redirect_map(&target, 0, XDP_DROP);
}

const char LICENSE[] SEC("license") = "GPL";
