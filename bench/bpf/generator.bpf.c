/* The generator: one run of this program is one frame, or none when none is due.
 *
 * It runs on live frames (BPF_PROG_RUN with BPF_F_TEST_XDP_LIVE_FRAMES), many thousand times in one system call, and
 * keeps time itself: a system call per small batch would cost more than the frames. A page may come back with whatever
 * a switch left in it, so every header is written anew; only the payload between headers and trailer is taken as found.
 */
#include "pktgen.h"

#define HEADERS 128
#define SIZES 12
#define NEVER (~0ULL)
#define FRACTION 12 /* bits after the point of times in runs: an interval is exact to 0.2 ps, and a run lasts 52 days */

/* Load that is later than this is not made up for: it would be a burst that nobody asked for. In runs' unit. */
#define PATIENCE (200000ULL << FRACTION)

enum encapsulation { PLAIN, VXLAN, GRE };
enum kind { NOTHING, LOAD, PROBE };

/* --- The traffic, constant for a loaded program -------------------------------------------------------------- */

const volatile u8 headers[HEADERS] __attribute__((aligned(8)));
const volatile u32 headers_len = 42; /* outermost Ethernet header to innermost UDP header */
const volatile u32 inner = 0;	     /* where the inner Ethernet header is */
const volatile u32 encapsulation = PLAIN;
const volatile u32 outer_ipv6 = 0;
/* Sums of the IPv4 headers' 16-bit words, without those that vary: length, checksum, and inside the addresses. */
const volatile u32 outer_sum = 0, inner_sum = 0;
/* Lengths of whole frames, which take turns. */
const volatile u32 sizes[SIZES];
const volatile u32 size_count = 1;
const volatile u32 largest = 60;
/* How many take turns, and the first: the lower 32 bits of its MAC address, its IPv4 address. */
const volatile u32 flows = 1, sources = 1, destinations = 1;
const volatile u32 source_mac = 0, destination_mac = 0;
const volatile u32 source_address = 0, destination_address = 0;
/* Inode of the network namespace that the generator's thread is in, which nobody else is. */
const volatile u32 namespace = 0;

/* --- Pace and counters --------------------------------------------------------------------------------------- */

/* Userspace writes it between calls only. Times are 2^-12 ns since `began`, which is CLOCK_MONOTONIC in ns. */
struct run {
	u64 began;
	u64 load_interval; /* 0: as fast as possible */
	u64 load_due;	   /* NEVER: no load */
	u64 probe_interval;
	u64 probe_due;	/* NEVER: no probes */
	u64 probe_flow; /* NEVER: probes take turns with the load */
	u64 time;	/* when the clock was last read */
	u64 sent;
	u64 bytes;
	u64 probes;
	u64 skipped; /* load that was not sent because it was too late */
	u64 refused; /* frames that the device was not given: it is gone or down, or its MTU too small */
	u64 dropped; /* frames that the device did not take: its peer's ring is full */
	u64 flow, source, destination, size;
};

struct {
	NUMBER(type, BPF_MAP_TYPE_ARRAY);
	NUMBER(max_entries, 1);
	TYPE(key, u32);
	TYPE(value, struct run);
} runs SEC(".maps");

struct {
	NUMBER(type, BPF_MAP_TYPE_DEVMAP);
	NUMBER(max_entries, 1);
	TYPE(key, u32);
	TYPE(value, u32);
} devices SEC(".maps");

/* Probes by the time from when they were due to when they were made: what the generator itself adds. */
struct {
	NUMBER(type, BPF_MAP_TYPE_ARRAY);
	NUMBER(max_entries, BUCKETS);
	TYPE(key, u32);
	TYPE(value, u64);
} delays SEC(".maps");

/* What is due now. While load is due by the last look at the clock, and no probes are asked for, it is not looked at. */
INLINE int due(struct run *run)
{
	u64 behind;

	if (run->probe_due != NEVER || run->load_due > run->time) {
		run->time = (bpf_ktime_get_ns() - run->began) << FRACTION;
		if (run->probe_due <= run->time)
			return PROBE;
		if (run->load_due > run->time)
			return NOTHING;
		behind = run->time - run->load_due;
		if (behind > PATIENCE && run->load_interval) {
			u64 given_up = (behind - PATIENCE) / run->load_interval;

			run->skipped += given_up;
			run->load_due += given_up * run->load_interval;
		}
	}
	run->load_due += run->load_interval;
	return LOAD;
}

/* When a probe should have been sent; decides when the next should be. The gaps vary evenly between half and one and a
 * half intervals, so that probes keep step with nothing. */
INLINE u64 next_probe(struct run *run)
{
	u64 half = run->probe_interval / 2, intended = run->began + (run->probe_due >> FRACTION), *count;
	u32 bucket = bucket_of((run->time - run->probe_due) >> FRACTION);

	count = bpf_map_lookup_elem(&delays, &bucket);
	if (count)
		(*count)++;
	run->probes++;
	run->probe_due += half + ((run->probe_interval >> 8) * (bpf_get_prandom_u32() >> 16) >> 8);
	return intended;
}

/* --- The frame ----------------------------------------------------------------------------------------------- */

INLINE u64 turn(u64 *place, u32 count)
{
	u64 now = *place;

	*place = now + 1 < count ? now + 1 : 0;
	return now;
}

INLINE void store16(u8 *to, u32 value)
{
	*(u16 *)to = __builtin_bswap16(value);
}

INLINE void store32(u8 *to, u32 value)
{
	*(u32 *)to = __builtin_bswap32(value);
}

INLINE u32 checksum(u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

/* Lengths, checksum and entropy of the outer headers. */
INLINE void patch_outer(u8 *start, u32 len, u32 flow)
{
	u8 *transport;

	if (outer_ipv6) {
		store16(start + 18, len - 54);
		transport = start + 54;
	} else {
		store16(start + 16, len - 14);
		store16(start + 24, checksum(outer_sum + len - 14));
		transport = start + 34;
	}
	if (encapsulation == VXLAN) {
		store16(transport, 0xc000 | (flow * 2654435761U) >> 18);
		store16(transport + 4, len - (outer_ipv6 ? 54 : 34));
	}
}

/* Addresses, ports, lengths and checksum of the inner headers; the UDP checksum stays 0, which IPv4 allows. */
INLINE void patch_inner(u8 *start, u32 len, u32 flow, u32 source, u32 destination)
{
	u32 from = source_address + source, to = destination_address + destination;

	store32(start + 2, destination_mac + destination);
	store32(start + 8, source_mac + source);
	store16(start + 16, len - 14);
	store16(start + 24, checksum(inner_sum + len - 14 + (from >> 16) + (from & 0xffff) + (to >> 16) + (to & 0xffff)));
	store32(start + 26, from);
	store32(start + 30, to);
	store16(start + 34, 1024 + (flow & 0x7fff));
	store16(start + 36, 2000 + (flow >> 15));
	store16(start + 38, len - 34);
}

/* Writes the headers up to the next eight bytes: the least frame has room for them. */
INLINE int write_headers(u8 *start, const u8 *end)
{
	if (start + (headers_len + 7 & ~7U) > end)
		return -1;
#pragma unroll
	for (u32 i = 0; i < HEADERS; i += 8)
		if (i < headers_len)
			*(u64 *)(start + i) = *(const volatile u64 *)(headers + i);
	return 0;
}

INLINE int write_frame(struct xdp_md *frame, struct run *run, u32 len, u64 intended)
{
	u64 source = turn(&run->source, sources), destination = turn(&run->destination, destinations);
	u64 flow = turn(&run->flow, flows);
	struct trailer *trailer;
	const u8 *end;
	u8 *start;

	if (intended && run->probe_flow != NEVER)
		flow = run->probe_flow;
	if (len != largest && bpf_xdp_adjust_tail(frame, (int)len - (int)largest))
		return -1;
	start = (u8 *)(long)frame->data;
	end = (const u8 *)(long)frame->data_end;
	if (len < TRAILER || len > MAX_FRAME || write_headers(start, end))
		return -1;
	if (encapsulation != PLAIN)
		patch_outer(start, len, flow);
	patch_inner(start + inner, len - inner, flow, source, destination);
	trailer = (struct trailer *)(start + (len - TRAILER));
	if ((const u8 *)(trailer + 1) > end)
		return -1;
	trailer->magic = MAGIC;
	trailer->intended = intended;
	return 0;
}

SEC("xdp")
int generate(struct xdp_md *frame)
{
	u64 intended = 0, place;
	struct run *run;
	u32 zero = 0, len;
	long action;
	int kind;

	run = bpf_map_lookup_elem(&runs, &zero);
	if (!run)
		return XDP_DROP;
	kind = due(run);
	if (kind == NOTHING)
		return XDP_DROP;
	if (kind == PROBE)
		intended = next_probe(run);
	len = largest;
	if (size_count > 1) {
		place = turn(&run->size, size_count);
		if (place >= SIZES)
			return XDP_DROP;
		len = sizes[place];
	}
	if (write_frame(frame, run, len, intended))
		return XDP_DROP;
	action = bpf_redirect_map(&devices, 0, XDP_DROP);
	run->sent++;
	run->bytes += len;
	if (action != XDP_REDIRECT)
		run->refused++;
	return (int)action;
}

/* --- What the device did not take ---------------------------------------------------------------------------- */

struct ns_common {
	u32 inum;
} CORE;

struct net {
	struct ns_common ns;
} CORE;

typedef struct {
	struct net *net;
} CORE possible_net_t;

struct net_device {
	int ifindex;
	possible_net_t nd_net;
} CORE;

/* The counters, if the event is of one of our frames: they come from the loopback of a namespace that is ours alone. */
INLINE struct run *run_from(const struct net_device *from)
{
	u32 zero = 0;

	return from->nd_net.net->ns.inum == namespace ? bpf_map_lookup_elem(&runs, &zero) : 0;
}

/* xdp_devmap_xmit(from, to, sent, drops, err): after each handful of frames that a device was given. */
SEC("tp_btf/xdp_devmap_xmit")
int devmap_xmit(u64 *args)
{
	int drops = (int)args[3];
	struct run *run;

	if (drops <= 0)
		return 0;
	run = run_from((const void *)args[0]);
	if (run)
		run->dropped += drops;
	return 0;
}

/* xdp_redirect_err(from, program, target, err, map_type, map_id, index): the device was not given the frame. */
SEC("tp_btf/xdp_redirect_err")
int redirect_err(u64 *args)
{
	struct run *run = run_from((const void *)args[0]);

	if (run)
		run->refused++;
	return 0;
}

const char LICENSE[] SEC("license") = "GPL";
