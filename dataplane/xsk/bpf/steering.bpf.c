/* The XDP program of every port, and of burst transmit.
 *
 * On a device it decides which frames go to our AF_XDP sockets. In a live-frame run (BPF_PROG_RUN with
 * BPF_F_TEST_XDP_LIVE_FRAMES) it fills each frame from the frame memory and redirects it to its port. Both are one
 * program because a run with repeat > 1 puts its program into the kernel's XDP dispatcher, which costs some 30 ms unless
 * it is there already: it is, as long as one port is attached.
 *
 * Constants and layouts are mirrored in steering.rs, ports.rs and burst.rs.
 */
#include "kernel.h"
#include "underlay.h"

#define LOOPBACK 1 /* ifindex of the loopback in every network namespace, and of a live run's frames */
#define MAX_PORTS 1024
#define MAX_QUEUES 64
#define MAX_WORKERS 64
#define MAX_BURST 1024
#define PORT_TABLE 4096 /* four times MAX_PORTS: probes stay short */
#define PROBES 8
#define PAGE 4096

/* --- What userspace says ------------------------------------------------------------------------------------- */

const volatile u32 chunk_size = 2048;
/* Inode of the network namespace that the ports are in. */
const volatile u32 namespace = 0;

enum role { NO_PORT, UPLINK, ACCESS };

struct port {
	u32 ifindex;
	u16 slot;
	u16 role;
};

/* Ports by ifindex: an entry is within PROBES places after ifindex % PORT_TABLE. */
struct {
	NUMBER(type, BPF_MAP_TYPE_ARRAY);
	NUMBER(max_entries, PORT_TABLE);
	TYPE(key, u32);
	TYPE(value, struct port);
} ports SEC(".maps");

struct {
	NUMBER(type, BPF_MAP_TYPE_XSKMAP);
	NUMBER(max_entries, MAX_PORTS * MAX_QUEUES); /* slot * MAX_QUEUES + queue */
	TYPE(key, u32);
	TYPE(value, u32);
} sockets SEC(".maps");

struct {
	NUMBER(type, BPF_MAP_TYPE_DEVMAP);
	NUMBER(max_entries, MAX_PORTS); /* slot */
	TYPE(key, u32);
	TYPE(value, u32);
} devices SEC(".maps");

/* --- What it counts ------------------------------------------------------------------------------------------ */

struct counters {
	u64 to_socket;
	u64 to_kernel;
	u64 no_socket;
	u64 strangers;
};

struct {
	NUMBER(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	NUMBER(max_entries, MAX_PORTS);
	TYPE(key, u32);
	TYPE(value, struct counters);
} counters SEC(".maps");

/* --- Burst transmit ------------------------------------------------------------------------------------------ */

/* The frame memory, in pages: one chunk of 4096 or two of 2048 bytes. Its size is set when it is loaded. */
struct page {
	u8 bytes[PAGE];
};

struct {
	NUMBER(type, BPF_MAP_TYPE_ARRAY);
	NUMBER(max_entries, 1);
	NUMBER(map_flags, BPF_F_MMAPABLE);
	TYPE(key, u32);
	TYPE(value, struct page);
} memory SEC(".maps");

enum outcome { WAITING, REDIRECTED, REFUSED, UNFIT };

struct descriptor {
	u32 chunk;
	u16 head;
	u16 len;
	u16 slot;
	u16 outcome;
};

/* One worker's frames to send. Userspace writes descriptors and `end` before a run and reads outcomes, `dropped` and
 * `error` after it; nobody writes on both sides at once. */
struct burst {
	u32 next; /* the descriptor of the next frame */
	u32 end;  /* no descriptor from here on; 0 outside a run */
	u32 reserved[14];
	struct descriptor descriptors[MAX_BURST];
	u16 dropped[MAX_PORTS]; /* by slot: frames that the device did not take from the redirect */
	u16 error[MAX_PORTS];   /* by slot: the last errno of such a device, 0 when its ring was merely full */
	u8 pad[20480 - 64 - MAX_BURST * 12 - MAX_PORTS * 4];
};

struct {
	NUMBER(type, BPF_MAP_TYPE_ARRAY);
	NUMBER(max_entries, MAX_WORKERS);
	NUMBER(map_flags, BPF_F_MMAPABLE);
	TYPE(key, u32);
	TYPE(value, struct burst);
} bursts SEC(".maps");

/* The worker whose run is under way on this CPU. */
struct {
	NUMBER(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	NUMBER(max_entries, 1);
	TYPE(key, u32);
	TYPE(value, u32);
} running SEC(".maps");

/* Length of a live run's initial frame for worker 0; worker n's is n bytes longer. That is how a frame knows whose it is:
 * the kernel restores the length before each frame, the content it does not. */
#define FIRST_LENGTH 128
/* A frame of at most this length is copied by the program itself. */
#define SHORT FIRST_LENGTH

/* Copies 64 to 128 bytes word by word, which spares two helpers and the start of a `rep movsb`. Nothing beyond `len` is
 * read: the cache line behind a frame is as a rule in no cache. */
INLINE long copy_short(struct xdp_md *frame, const u8 *from, u32 len)
{
	u8 *to = (u8 *)(long)frame->data, *last;
	const u8 *end = (const u8 *)(long)frame->data_end;

	if (to + SHORT > end)
		return -1;
#pragma unroll
	for (u32 at = 0; at < SHORT; at += 8) {
		if (at + 8 > 64 && len < at + 8)
			break;
		*(u64 *)(to + at) = *(const u64 *)(from + at);
	}
	/* What is left, with some bytes once more. */
	last = to + (len - 8);
	if (last + 8 > end)
		return -1;
	*(u64 *)last = *(const u64 *)(from + (len - 8));
	return 0;
}

/* Copies `len` bytes of a chunk into the frame. `head_limit + len_limit` is at most the chunk's size, so that the
 * verifier sees each access stay within the page. */
INLINE long fill_frame(struct xdp_md *frame, struct page *page, u32 base, const struct descriptor *descriptor,
		       u32 initial, u32 head_limit, u32 len_limit)
{
	u32 head = descriptor->head, len = descriptor->len;
	const u8 *from = page->bytes + base + head;

	if (head > head_limit || len > len_limit || len < 14)
		return -1;
	if (len >= 64 && len <= SHORT)
		return copy_short(frame, from, len) || bpf_xdp_adjust_tail(frame, (int)len - (int)initial);
	if (bpf_xdp_adjust_tail(frame, (int)len - (int)initial))
		return -1;
	return bpf_xdp_store_bytes(frame, 0, (void *)from, len);
}

INLINE int transmit(struct xdp_md *frame)
{
	u32 zero = 0, initial = frame->data_end - frame->data, worker = initial - FIRST_LENGTH, number;
	struct descriptor *descriptor;
	struct burst *burst;
	struct page *page;
	u32 *on_cpu;
	long failed, action;

	burst = bpf_map_lookup_elem(&bursts, &worker);
	on_cpu = bpf_map_lookup_elem(&running, &zero);
	if (!burst || !on_cpu)
		return XDP_DROP;
	number = burst->next;
	if (number >= burst->end || number >= MAX_BURST)
		return XDP_DROP;
	burst->next = number + 1;
	*on_cpu = worker;
	descriptor = &burst->descriptors[number];
	descriptor->outcome = REFUSED;
	if (chunk_size == PAGE) {
		number = descriptor->chunk;
		page = bpf_map_lookup_elem(&memory, &number);
		if (!page)
			return XDP_DROP;
		failed = fill_frame(frame, page, 0, descriptor, initial, 576, 3520);
	} else {
		number = descriptor->chunk / 2;
		page = bpf_map_lookup_elem(&memory, &number);
		if (!page)
			return XDP_DROP;
		failed = fill_frame(frame, page, (descriptor->chunk & 1) * (PAGE / 2), descriptor, initial, 448, 1600);
	}
	if (failed) {
		descriptor->outcome = UNFIT;
		return XDP_DROP;
	}
	action = bpf_redirect_map(&devices, descriptor->slot, XDP_DROP);
	if (action == XDP_REDIRECT)
		descriptor->outcome = REDIRECTED;
	return (int)action;
}

/* --- Steering ------------------------------------------------------------------------------------------------ */

INLINE struct port *port_of(u32 ifindex)
{
#pragma unroll
	for (u32 probe = 0; probe < PROBES; probe++) {
		u32 place = (ifindex + probe) % PORT_TABLE;
		struct port *port = bpf_map_lookup_elem(&ports, &place);

		if (port && port->ifindex == ifindex)
			return port;
	}
	return 0;
}

/* Gives a frame to the socket of its queue; without one, does what `otherwise` says. */
INLINE int to_socket(struct xdp_md *frame, const struct port *port, struct counters *counted, int otherwise)
{
	u32 queue = frame->rx_queue_index;
	long action = otherwise;

	if (queue < MAX_QUEUES)
		action = bpf_redirect_map(&sockets, port->slot * MAX_QUEUES + queue, otherwise);
	if (action == XDP_REDIRECT)
		counted->to_socket++;
	else
		counted->no_socket++;
	return (int)action;
}

INLINE int handle(struct xdp_md *frame)
{
	struct counters *counted;
	struct port *port;
	u32 slot;

	if (frame->ingress_ifindex == LOOPBACK)
		return transmit(frame);
	port = port_of(frame->ingress_ifindex);
	if (!port)
		return XDP_PASS; /* attached, and not yet or no longer a port */
	slot = port->slot;
	counted = bpf_map_lookup_elem(&counters, &slot);
	if (!counted)
		return XDP_PASS;
	if (port->role == ACCESS)
		return to_socket(frame, port, counted, XDP_DROP);
	switch (origin_of((const u8 *)(long)frame->data, (const u8 *)(long)frame->data_end)) {
	case PEER:
		return to_socket(frame, port, counted, XDP_PASS);
	case STRANGER:
		/* No worker spends time on it, and the host's own stack has no use for it either. */
		counted->strangers++;
		return XDP_DROP;
	default:
		counted->to_kernel++;
		return XDP_PASS;
	}
}

/* Of these two one is loaded. What a frame is stands in its first buffer, which is all that either reads. */

/* Takes frames of several buffers too, so that a device may have an MTU above what one page holds. */
SEC("xdp.frags")
int steer(struct xdp_md *frame)
{
	return handle(frame);
}

/* For kernels that have no such frames (before Linux 5.18). */
SEC("xdp")
int steer_linear(struct xdp_md *frame)
{
	return handle(frame);
}

/* --- What devices did not take from a burst ------------------------------------------------------------------ */

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

/* The burst that is under way on this CPU, if the event is of one of ours: a live run's frames come from the loopback
 * of our namespace. */
INLINE struct burst *burst_under_way(const struct net_device *from)
{
	struct burst *burst;
	u32 zero = 0, *worker;

	if (from->ifindex != LOOPBACK || from->nd_net.net->ns.inum != namespace)
		return 0;
	worker = bpf_map_lookup_elem(&running, &zero);
	if (!worker)
		return 0;
	burst = bpf_map_lookup_elem(&bursts, worker);
	return burst && burst->end ? burst : 0;
}

/* xdp_devmap_xmit(from, to, sent, drops, err): after each handful of frames that a device was given. */
SEC("tp_btf/xdp_devmap_xmit")
int devmap_xmit(u64 *args)
{
	const struct net_device *from = (void *)args[0], *to = (void *)args[1];
	int drops = (int)args[3], failure = (int)args[4];
	struct burst *burst;
	struct port *port;

	if (drops <= 0)
		return 0;
	burst = burst_under_way(from);
	if (!burst)
		return 0;
	port = port_of(to->ifindex);
	if (!port)
		return 0;
	burst->dropped[port->slot % MAX_PORTS] += drops;
	burst->error[port->slot % MAX_PORTS] = failure < 0 ? -failure : 0;
	return 0;
}

/* xdp_redirect_err(from, program, target, err, map_type, map_id, index): the frame just run was not accepted for its
 * device, which is down, takes no redirected frames, or has too small an MTU. */
SEC("tp_btf/xdp_redirect_err")
int redirect_err(u64 *args)
{
	const struct net_device *from = (void *)args[0];
	int failure = (int)args[3];
	u32 index = (u32)args[6];
	struct burst *burst;

	if ((u32)args[4] != BPF_MAP_TYPE_DEVMAP)
		return 0;
	burst = burst_under_way(from);
	if (!burst)
		return 0;
	burst->dropped[index % MAX_PORTS]++;
	burst->error[index % MAX_PORTS] = failure < 0 ? -failure : 0;
	return 0;
}

const char LICENSE[] SEC("license") = "GPL";
