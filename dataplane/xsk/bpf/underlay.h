/* Which of an uplink's frames are ours: tunnel packets to our addresses, from our peers.
 *
 * Constants and layouts are mirrored in rules.rs.
 */
#pragma once

#include "kernel.h"

#define MAX_UDP_PORTS 8
#define FIRST_ADDRESSES 8
#define MAX_PEERS 131072 /* those of two sets of 65536, for a moment */

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd
#define IP_UDP 17
#define IP_GRE 47
#define IPV6_FRAGMENT 44
#define GRE_ETHERNET 0x6558 /* Transparent Ethernet Bridging, of NVGRE too */

struct rules {
	u16 udp_ports[MAX_UDP_PORTS]; /* host byte order; 0: none */
	u32 gre;
	u32 any_peer; /* whether packets from everybody are taken, not from peers alone */
	/* IPv4 addresses, in network byte order, that need no look into the maps; 0: none */
	u32 first[FIRST_ADDRESSES];
	u32 first_peers[FIRST_ADDRESSES];
};

struct {
	NUMBER(type, BPF_MAP_TYPE_ARRAY);
	NUMBER(max_entries, 1);
	TYPE(key, u32);
	TYPE(value, struct rules);
} uplink_rules SEC(".maps");

struct address {
	u8 bytes[16]; /* IPv6, or IPv4 mapped into it: ::ffff:a.b.c.d */
};

struct {
	NUMBER(type, BPF_MAP_TYPE_HASH);
	NUMBER(max_entries, 4096);
	TYPE(key, struct address);
	TYPE(value, u32);
} addresses SEC(".maps");

/* Whom tunnel packets are taken from. */
struct {
	NUMBER(type, BPF_MAP_TYPE_HASH);
	NUMBER(max_entries, MAX_PEERS);
	NUMBER(map_flags, BPF_F_NO_PREALLOC);
	TYPE(key, struct address);
	TYPE(value, u32);
} peers SEC(".maps");

INLINE u16 big16(const u8 *bytes)
{
	return (u16)(bytes[0] << 8 | bytes[1]);
}

INLINE int is_vxlan_port(const struct rules *rules, u16 port)
{
	int found = 0;

#pragma unroll
	for (u32 i = 0; i < MAX_UDP_PORTS; i++)
		found |= rules->udp_ports[i] == port;
	return found && port;
}

INLINE int is_among(const u32 *first, const u8 *address)
{
	int found = 0;
	u32 word;

	__builtin_memcpy(&word, address, sizeof(word));
#pragma unroll
	for (u32 i = 0; i < FIRST_ADDRESSES; i++)
		found |= first[i] == word;
	return found && word;
}

/* An IPv4 address as the maps have it. */
INLINE struct address mapped(const u8 *address)
{
	struct address mapped = {};

	mapped.bytes[10] = 0xff;
	mapped.bytes[11] = 0xff;
	__builtin_memcpy(mapped.bytes + 12, address, 4);
	return mapped;
}

/* What a frame is to an uplink: not for us, for us from a peer, for us from somebody else. */
enum origin { NOT_OURS, PEER, STRANGER };

INLINE enum origin of_ipv4(const struct rules *rules, const u8 *source, const u8 *destination)
{
	struct address address;

	if (!is_among(rules->first, destination)) {
		address = mapped(destination);
		if (!bpf_map_lookup_elem(&addresses, &address))
			return NOT_OURS;
	}
	if (rules->any_peer || is_among(rules->first_peers, source))
		return PEER;
	address = mapped(source);
	return bpf_map_lookup_elem(&peers, &address) ? PEER : STRANGER;
}

INLINE enum origin of_ipv6(const struct rules *rules, const u8 *source, const u8 *destination)
{
	struct address address;

	__builtin_memcpy(address.bytes, destination, 16);
	if (!bpf_map_lookup_elem(&addresses, &address))
		return NOT_OURS;
	if (rules->any_peer)
		return PEER;
	__builtin_memcpy(address.bytes, source, 16);
	return bpf_map_lookup_elem(&peers, &address) ? PEER : STRANGER;
}

/* Whether a packet, or its first fragment, is of a tunnel that we serve; its payload begins at `payload`. */
INLINE int is_tunnel(const struct rules *rules, u8 protocol, const u8 *payload, const u8 *end)
{
	if (protocol == IP_UDP)
		return payload + 8 <= end && is_vxlan_port(rules, big16(payload + 2));
	/* What else is in GRE is of tunnels of the kernel. */
	return protocol == IP_GRE && payload + 4 <= end && rules->gre && big16(payload + 2) == GRE_ETHERNET;
}

/* Whether an uplink's frame is ours: untagged IPv4 (options allowed) or IPv6 (extension headers not), of a tunnel that we
 * serve, to one of our addresses; and whether a peer sent it.
 *
 * First fragments are ours as well: workers refuse them, and so count each fragmented packet once (OUTER_FRAGMENT). Later
 * ones do not say what they are of, so they go to the kernel, which forgets them for want of the first. */
INLINE enum origin origin_of(const u8 *start, const u8 *end)
{
	const u8 *ip = start + 14;
	struct rules *rules;
	u32 zero = 0;

	rules = bpf_map_lookup_elem(&uplink_rules, &zero);
	if (!rules || ip + 20 > end)
		return NOT_OURS;
	if (big16(start + 12) == ETHERTYPE_IPV4) {
		u32 header = (ip[0] & 15) * 4;

		if (ip[0] >> 4 != 4 || header < 20)
			return NOT_OURS;
		if (big16(ip + 6) & 0x1fff) /* an offset: a later fragment */
			return NOT_OURS;
		if (!is_tunnel(rules, ip[9], ip + header, end))
			return NOT_OURS;
		return of_ipv4(rules, ip + 12, ip + 16);
	}
	if (big16(start + 12) == ETHERTYPE_IPV6) {
		const u8 *payload = ip + 40;
		u8 protocol;

		if (payload > end || ip[0] >> 4 != 6)
			return NOT_OURS;
		protocol = ip[6];
		if (protocol == IPV6_FRAGMENT) {
			if (payload + 8 > end || big16(payload + 2) & 0xfff8) /* a later fragment */
				return NOT_OURS;
			protocol = payload[0];
			payload += 8;
		}
		if (!is_tunnel(rules, protocol, payload, end))
			return NOT_OURS;
		return of_ipv6(rules, ip + 8, ip + 24);
	}
	return NOT_OURS;
}
