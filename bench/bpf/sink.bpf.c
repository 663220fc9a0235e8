/* The sink: counts the generator's frames, by themselves or under whatever tunnel headers, and drops them. What else
 * comes, such as ARP, goes to the kernel.
 */
#include "pktgen.h"

/* Whether to count and drop every frame, whoever made it. */
const volatile u32 every_frame = 0;

struct counters {
	u64 frames;
	u64 bytes;
	u64 others; /* not the generator's: left to the kernel */
	u64 reserved;
};

struct {
	NUMBER(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	NUMBER(max_entries, 1);
	TYPE(key, u32);
	TYPE(value, struct counters);
} counters SEC(".maps");

/* Probes by the time from when they were due to here. */
struct {
	NUMBER(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	NUMBER(max_entries, BUCKETS);
	TYPE(key, u32);
	TYPE(value, u64);
} latencies SEC(".maps");

INLINE void record(u64 intended)
{
	u64 now = bpf_ktime_get_ns(), *count;
	u32 bucket = bucket_of(now > intended ? now - intended : 0);

	count = bpf_map_lookup_elem(&latencies, &bucket);
	if (count)
		(*count)++;
}

SEC("xdp")
int sink(struct xdp_md *frame)
{
	const u8 *start = (const u8 *)(long)frame->data, *end = (const u8 *)(long)frame->data_end;
	u64 len = end - start;
	const struct trailer *trailer;
	struct counters *counted;
	u32 zero = 0;

	counted = bpf_map_lookup_elem(&counters, &zero);
	if (!counted)
		return XDP_PASS;
	trailer = (const struct trailer *)(start + ((len - TRAILER) & 0xfff));
	if (len < TRAILER || len > MAX_FRAME || (const u8 *)(trailer + 1) > end || trailer->magic != MAGIC) {
		if (!every_frame) {
			counted->others++;
			return XDP_PASS;
		}
	} else if (trailer->intended) {
		record(trailer->intended);
	}
	counted->frames++;
	counted->bytes += len;
	return XDP_DROP;
}

const char LICENSE[] SEC("license") = "GPL";
