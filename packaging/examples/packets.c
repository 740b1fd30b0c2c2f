/*
 * A client of the packet port in C: 4 bytes of length, big-endian, then a msgpack map.
 *
 *	cc -o packets packets.c $(pkg-config --libs msgpack-c 2>/dev/null || echo -lmsgpackc)
 *	packets HOST PORT subscribe TOPIC	prints the packets that come, a line each
 *	packets HOST PORT publish TOPIC TEXT	publishes, and prints the answer
 *
 * The server: janus -o listen=packet://127.0.0.1:8082
 */
#include <arpa/inet.h>
#include <msgpack.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PACKET_MAX (64u << 20)	/* bytes; the server sends none that is larger than six times its max_frame, or an eighth of its ring_bytes */

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int connect_to(const char *host, const char *port)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found;
	int fd = -1, error = getaddrinfo(host, port, &hints, &found);

	if (error) {
		fprintf(stderr, "%s:%s: %s\n", host, port, gai_strerror(error));
		exit(1);
	}
	for (struct addrinfo *a = found; a && fd < 0; a = a->ai_next) {
		fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
		if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen)) {
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(found);
	if (fd < 0)
		die("connect");
	return fd;
}

/* ---- out ---- */

static void put_text(msgpack_packer *p, const char *text)
{
	msgpack_pack_str(p, strlen(text));
	msgpack_pack_str_body(p, text, strlen(text));
}

static void send_packet(int fd, const msgpack_sbuffer *packet)
{
	uint32_t length = htonl((uint32_t)packet->size);
	struct { const void *bytes; size_t size; } part[] = { { &length, 4 }, { packet->data, packet->size } };

	for (int i = 0; i < 2; i++)
		for (size_t done = 0; done < part[i].size;) {
			ssize_t n = send(fd, (const char *)part[i].bytes + done, part[i].size - done, MSG_NOSIGNAL | (i ? 0 : MSG_MORE));

			if (n < 0)
				die("send");
			done += (size_t)n;
		}
}

/* {"op": "subscribe", "topic": topic}, or {"op": "publish", "topic": topic, "data": text, "receipt": true} */
static void ask(int fd, const char *op, const char *topic, const char *text)
{
	msgpack_sbuffer packet;
	msgpack_packer p;

	msgpack_sbuffer_init(&packet);
	msgpack_packer_init(&p, &packet, msgpack_sbuffer_write);
	msgpack_pack_map(&p, text ? 4 : 2);
	put_text(&p, "op");
	put_text(&p, op);
	put_text(&p, "topic");
	put_text(&p, topic);
	if (text) {
		put_text(&p, "data");	/* a str is text to all others; msgpack_pack_bin() would be binary data */
		put_text(&p, text);
		put_text(&p, "receipt");
		msgpack_pack_true(&p);
	}
	send_packet(fd, &packet);
	msgpack_sbuffer_destroy(&packet);
}

/* ---- in ---- */

static void receive(int fd, void *dst, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = recv(fd, (char *)dst + done, size - done, 0);

		if (n < 0)
			die("recv");
		if (n == 0) {
			fputs("the connection has ended\n", stderr);
			exit(1);
		}
		done += (size_t)n;
	}
}

/* The value of a key in a packet, which is a map; NULL: there is none. */
static const msgpack_object *member(const msgpack_object *map, const char *key)
{
	for (uint32_t i = 0; map->type == MSGPACK_OBJECT_MAP && i < map->via.map.size; i++) {
		const msgpack_object_kv *kv = &map->via.map.ptr[i];

		if (kv->key.type == MSGPACK_OBJECT_STR && kv->key.via.str.size == strlen(key) && !memcmp(kv->key.via.str.ptr, key, strlen(key)))
			return &kv->val;
	}
	return NULL;
}

/*
 * The next packet that is no heartbeat ({"ok": true, "ping": ...}); replies have "ok", messages have not. *packet is initialized by the caller, and
 * destroyed when it is done with it.
 */
static void next_packet(int fd, msgpack_unpacked *packet)
{
	static char *bytes;	/* what the unpacked packet may point into: both are valid until the next call */
	static size_t room;

	do {
		uint32_t length;

		receive(fd, &length, 4);
		length = ntohl(length);
		if (length > PACKET_MAX || (length > room && !(bytes = realloc(bytes, room = length)))) {
			fprintf(stderr, "a packet of %u bytes\n", length);
			exit(1);
		}
		receive(fd, bytes, length);
		if (msgpack_unpack_next(packet, bytes, length, NULL) != MSGPACK_UNPACK_SUCCESS) {
			fputs("what came is no msgpack\n", stderr);
			exit(1);
		}
	} while (member(&packet->data, "ping"));
}

static bool is_done(const msgpack_unpacked *reply)
{
	const msgpack_object *ok = member(&reply->data, "ok");

	return ok && ok->type == MSGPACK_OBJECT_BOOLEAN && ok->via.boolean;
}

static void print(const msgpack_unpacked *packet)
{
	msgpack_object_print(stdout, packet->data);
	putchar('\n');
	fflush(stdout);
}

int main(int argc, char **argv)
{
	bool publish = argc == 6 && !strcmp(argv[3], "publish");
	msgpack_unpacked packet;
	bool done;
	int fd;

	if (!publish && !(argc == 5 && !strcmp(argv[3], "subscribe"))) {
		fprintf(stderr, "usage: %s HOST PORT subscribe TOPIC | publish TOPIC TEXT\n", argv[0]);
		return 2;
	}
	fd = connect_to(argv[1], argv[2]);
	msgpack_unpacked_init(&packet);
	next_packet(fd, &packet);		/* the greeting */
	if (!member(&packet.data, "janus")) {
		print(&packet);
		return 1;
	}
	ask(fd, argv[3], argv[4], publish ? argv[5] : NULL);
	next_packet(fd, &packet);		/* the reply: nothing else can come before it here */
	done = is_done(&packet);
	print(&packet);
	while (done && !publish) {
		next_packet(fd, &packet);
		print(&packet);
	}
	msgpack_unpacked_destroy(&packet);
	close(fd);
	return done ? 0 : 1;
}
