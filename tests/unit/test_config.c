/*
 * The configuration: lines that are right and what they mean, lines that are wrong and what is said; the default file; settings through
 * msgpack and back.
 */
#include "tests/unit/config_fixture.h"

#include <msgpack.h>
#include <sched.h>

#include "proto/msgpack_walk.h"

#define DEFAULT_FILE "packaging/janus.ini"
#define NAME(x) offsetof(struct settings, x)

static void good_numbers(void **state)
{
	static const struct {
		const char *text;
		size_t offset;
		int64_t value;
	} cases[] = {
		{"max_frame = 1024", NAME(max_frame), 1024},
		{"max_frame=64K\n", NAME(max_frame), 65536},
		{"\t max_frame = 64K ; a comment\r\n", NAME(max_frame), 65536},
		{"\xef\xbb\xbfmax_frame: 16M\nring_bytes = 256M", NAME(max_frame), 16777216},
		{"max_connections = 40k", NAME(max_connections), 40000},
		{"max_connections = 2m", NAME(max_connections), 2000000},
		{"max_connections = 0", NAME(max_connections), 0},
		{"ring_bytes = 16G", NAME(ring_bytes), INT64_C(17179869184)},
		{"ring_bytes = 4194305", NAME(ring_bytes), 8388608},
		{"max_frame = 64K\nring_bytes = 1M", NAME(ring_bytes), 1048576},
		{"ring_messages = 100k", NAME(ring_messages), 131072},
		{"ring_bytes = 64MiB", NAME(ring_bytes), 67108864},
		{"ring_bytes = 4GiB", NAME(ring_bytes), INT64_C(4294967296)},
		{"max_frame = 64KiB", NAME(max_frame), 65536},
		{"max_frame = 64KB", NAME(max_frame), 64000},
		{"max_frame = 64kB", NAME(max_frame), 64000},
		{"max_frame = 3MB", NAME(max_frame), 3000000},
		{"max_frame = 2048B", NAME(max_frame), 2048},
		{"flood_bytes = 1GB", NAME(flood_bytes), 1000000000},
		{"heartbeat = 7", NAME(heartbeat), 7000},
		{"heartbeat = 7s", NAME(heartbeat), 7000},
		{"heartbeat = 1500ms", NAME(heartbeat), 1500},
		{"heartbeat = 2m", NAME(heartbeat), 120000},
		{"heartbeat = 24h", NAME(heartbeat), 86400000},
		{"io = uring", NAME(io), IO_URING},
		{"io = send", NAME(io), IO_SEND},
		{"page = on", NAME(page), PAGE_ON},
		{"page = off", NAME(page), PAGE_OFF},
		{"broadcast = on", NAME(broadcast), BROADCAST_ON},
		{"broadcast = off", NAME(broadcast), BROADCAST_OFF},
		{"http_timeout = 1s", NAME(http_timeout), 1000},
		{"keep_alive = 2m", NAME(keep_alive), 120000},
		{"max_head = 65535", NAME(max_head), 65535},
		{"max_fields = 8", NAME(max_fields), 8},
		{"flood_messages = 1k", NAME(flood_messages), 1000},
		{"flood_bytes = 10M", NAME(flood_bytes), 10485760},
		{"idle_limit = 5m", NAME(idle_limit), 300000},
		{"workers = 63", NAME(workers), 63},
		{"restart_limit = 0", NAME(restart_limit), 0},
		/* an indented line is a line of its own, not more of the one before */
		{"heartbeat = 9\n  max_frame = 2048\n", NAME(max_frame), 2048},
		{"# comment\n; comment\n\n   # comment\nfanout_slice = 1", NAME(fanout_slice), 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (read_text(cases[i].text) < 0)
			fail_msg("%s: %s", cases[i].text, error);
		assert_int_equal(*(int64_t *)(void *)((char *)&config.settings + cases[i].offset), cases[i].value);
	}
}

static void bad_lines(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{"max_frame = 99", "janus.ini:1: max_frame: 99 is less than 1K"},
		{"\n\n# x\nmax_frame = 17M", "janus.ini:4: max_frame: 17M is more than 16M"},
		{"max_frame = 99999999999999999999999G", "janus.ini:1: max_frame: 99999999999999999999999G is more than 16M"},
		{"max_frame = 9223372036854775807G", "janus.ini:1: max_frame: 9223372036854775807G is more than 16M"},
		{"max_frame = -5", "janus.ini:1: max_frame: `-5` is not a whole number, with K, M, G (or KiB, MiB, GiB), kB, MB, GB, k or m behind it or nothing"},
		{"max_frame = 64Kb", "janus.ini:1: max_frame: `64Kb` is not a whole number, with K, M, G (or KiB, MiB, GiB), kB, MB, GB, k or m behind it or nothing"},
		{"max_frame = 6 4", "janus.ini:1: max_frame: `6 4` is not a whole number, with K, M, G (or KiB, MiB, GiB), kB, MB, GB, k or m behind it or nothing"},
		{"max_frame =", "janus.ini:1: max_frame: `` is not a whole number, with K, M, G (or KiB, MiB, GiB), kB, MB, GB, k or m behind it or nothing"},
		{"heartbeat = 10ms", "janus.ini:1: heartbeat: 10ms is less than 1s"},
		{"heartbeat = 10s # often", "janus.ini:1: heartbeat: a comment can't follow a value: give `# often` a line of its own, or begin it with ;"},
		{"\ndata = /x # here", "janus.ini:2: data: a comment can't follow a value: give `# here` a line of its own, or begin it with ;"},
		{"workers = 1 #", "janus.ini:1: workers: a comment can't follow a value: give `#` a line of its own, or begin it with ;"},
		{"listen = http://*:1 # all", "janus.ini:1: listen: a comment can't follow a value: give `# all` a line of its own, or begin it with ;"},
		{"heartbeat = 25h", "janus.ini:1: heartbeat: 25h is more than 24h"},
		{"heartbeat = 1d", "janus.ini:1: heartbeat: `1d` is not a whole number, with ms, s, m or h behind it or nothing"},
		{"slow = drop", "janus.ini:1: slow: `drop` is not of the form TOPIC: skip, latest or disconnect; nor is it one of these words alone"},
		{"slow = a*: latest; b: drop", "janus.ini:1: slow: `drop` is not one of: skip latest disconnect"},
		{"slow = a: skip\n\nslow = a*b: skip", "janus.ini:3: slow: `a*b: skip` has a * elsewhere than at the end of a topic"},
		{"slow = skip\nslow = disconnect", "janus.ini:2: slow: `skip` is not of the form TOPIC: skip, latest or disconnect; nor is it one of these words alone"},
		{"io = urin", "janus.ini:1: io: `urin` is not one of: auto uring send"},
		{"workers = 0", "janus.ini:1: workers: 0 is less than 1"},
		{"workers = 64", "janus.ini:1: workers: 64 is more than 63"},
		{"workers = many", "janus.ini:1: workers: `many` is not `auto` or a number from 1 to 63"},
		{"workers = 1K", "janus.ini:1: workers: `1K` is not `auto` or a number from 1 to 63"},
		{"page = yes", "janus.ini:1: page: `yes` is not one of: on off"},
		{"http_timeout = 999ms", "janus.ini:1: http_timeout: 999ms is less than 1s"},
		{"max_head = 64K", "janus.ini:1: max_head: 64K is more than 65535"},
		{"max_head = 1023", "janus.ini:1: max_head: 1023 is less than 1K"},
		{"max_fields = 7", "janus.ini:1: max_fields: 7 is less than 8"},
		{"max_fields = 1001", "janus.ini:1: max_fields: 1001 is more than 1000"},
		{"origins = https://a.example http://b.example/x",
		 "janus.ini:1: origins: `http://b.example/x` has a path: an origin ends with host or port"},
		{"history = a: 1 message; b", "janus.ini:1: history: `b` is not of the form TOPIC: LIMIT, LIMIT..."},
		{"history = a: 1 message\nhistory = b: 2 messages, 5", "janus.ini:2: history: `5` is no limit: a number of messages (100 messages), a size "
		 "(K, M, G, MiB, MB and so on) or an age (s, m, h or d)"},
		{"history_bytes = 1000K", "janus.ini:1: history_bytes: 1000K is less than 1M"},
		{"runtime_dir = run", "janus.ini:1: runtime_dir: `run` is not an absolute path"},
		{"runtime_dir = /a\tb", "janus.ini:1: runtime_dir: `/a?b` has a control character in it"},
		{"user = nosuchuser", "janus.ini:1: user: there is no user `nosuchuser`"},
		{"max_frames = 2048", "janus.ini:1: max_frames: unknown key; did you mean max_frame?"},
		{"nats = nats://a.example:4222 127.0.0.1:4222", "janus.ini:1: nats: `127.0.0.1:4222` is not nats://HOST:PORT or tls://HOST:PORT"},
		{"nats = tls://[::1]:4222, nats://a:70000", "janus.ini:1: nats: `nats://a:70000` is not nats://HOST:PORT or tls://HOST:PORT"},
		{"nats = nats://joe:secret@a:4222", "janus.ini:1: nats: a URL with a user in it: say nats_user and nats_password_file, or nats_token_file"},
		{"nats_prefix = a..b", "janus.ini:1: nats_prefix: `a..b` is not up to 64 letters, digits, - and _, and dots between them"},
		{"nats_prefix = a.*", "janus.ini:1: nats_prefix: `a.*` is not up to 64 letters, digits, - and _, and dots between them"},
		{"nats_token_file = token", "janus.ini:1: nats_token_file: `token` is not an absolute path"},
		{"nats_user = joe", "nats_user and nats_password_file: one takes the other"},
		{"nats_tls_certificate = /cert.pem", "nats_tls_certificate: it is one certificate and its key, CERT.pem KEY.pem"},
		{"node = a b", "janus.ini:1: node: `a b` is not up to 63 letters, digits, - _ and dots"},
		{"Listen = x", "janus.ini:1: Listen: unknown key; did you mean listen?"},
		{"worker = 2", "janus.ini:1: worker: unknown key; did you mean workers?"},
		{"colour = red", "janus.ini:1: colour: unknown key"},
		{"heartbeat = 5\ncolour = red\nmax_frame = 1", "janus.ini:2: colour: unknown key"},
		{"heartbeat = 5\nslow = skip\nheartbeat = 6", "janus.ini:3: heartbeat: line 1 has it already"},
		{"workers = 1\nworkers = 1", "janus.ini:2: workers: line 1 has it already"},
		{"= 5", "janus.ini:1: no key before the ="},
		{"heartbeat = 5\nmax_frame\n", "janus.ini:2: not of the form key = value"},
		{"heartbeat ; = 5\ncolour = red", "janus.ini:1: not of the form key = value"},
		{"[janus]\nheartbeat = 5", "janus.ini:1: [sections] are not used here: write the key = value lines without"},
		{"heartbeat = 5\n \xe2\x98\x83[x]\n  [x", "janus.ini:2: not of the form key = value"},
		{"heartbeat = 5\n [x", "janus.ini:2: [sections] are not used here: write the key = value lines without"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (read_text(cases[i].text) == 0)
			fail_msg("taken: %s", cases[i].text);
		assert_string_equal(error, cases[i].error);
	}
}

static void long_lines(void **state)
{
	char text[1000];
	int n;

	(void)state;
	/* the longest that inih takes, by the way Debian and Fedora build it, and one more */
	n = snprintf(text, sizeof(text), "heartbeat = 5\nruntime_dir = /");
	memset(text + n, 'x', 300);
	text[14 + 198] = '\n';
	text[14 + 199] = '\0';
	assert_int_equal(read_text(text), 0);
	assert_int_equal(strlen(config.settings.runtime_dir), 198 - strlen("runtime_dir = "));
	text[14 + 198] = 'x';
	text[14 + 199] = '\n';
	text[14 + 200] = '\0';
	assert_int_equal(read_text(text), -1);
	assert_string_equal(error, "janus.ini:2: the line is longer than 198 bytes");
	/* a comment may be as long as it likes; nothing of it comes through */
	memset(text, 'x', sizeof(text));
	text[0] = '#';
	memcpy(text + 195, " slow = disconnect ", 19);
	memcpy(text + 600, "\nheartbeat = 8\n", 16);
	assert_int_equal(read_text(text), 0);
	assert_int_equal(config.settings.heartbeat, 8000);
	assert_string_equal(config.settings.slow, "skip");
	/* a NUL would end the line for inih */
	write_file("heartbeat = 5\0x\n", 16);
	assert_int_equal(config_read(&config, &(struct config_source){.file = FILE_NAME}, error), -1);
	assert_string_equal(error, "janus.ini:1: a NUL byte");
}

static void files(void **state)
{
	struct config_source none = {.file = "nosuch.ini"}, dir = {.file = "/tmp"};
	char path[64];

	(void)state;
	assert_int_equal(read_text("heartbeat = 5"), 0);
	snprintf(path, sizeof(path), "%s/" FILE_NAME, folder);
	assert_string_equal(config.file, path);
	assert_int_equal(config_read(&config, &none, error), -1);
	assert_string_equal(error, "nosuch.ini: No such file or directory");
	assert_int_equal(config_read(&config, &dir, error), -1);
	assert_string_equal(error, "/tmp: Is a directory");
	/* and what was there is still there */
	assert_int_equal(config.settings.heartbeat, 5000);
	assert_string_equal(config.file, path);
}

static void options_win(void **state)
{
	const char *options[] = {"heartbeat=3", "listen=flash://127.0.0.1:3", "slow=disconnect", "listen=flash://127.0.0.1:4",
				 "heartbeat = 4", "runtime_dir=/x=y", NULL};
	static const struct {
		const char *option, *error;
	} bad[] = {
		{"heartbeat", "-o heartbeat: not of the form key=value"},
		{"=3", "-o =3: not of the form key=value"},
		{"heartbeat=0", "-o heartbeat: 0 is less than 1s"},
		{"hartbeat=5", "-o hartbeat: unknown key; did you mean heartbeat?"},
		{"heart\nbeat=5", "-o heart?beat: unknown key; did you mean heartbeat?"},
	};

	(void)state;
	assert_int_equal(read_options("heartbeat = 2\nlisten = flash://127.0.0.1:1\nlisten = flash://127.0.0.1:2", options), 0);
	assert_int_equal(config.settings.heartbeat, 4000);
	assert_string_equal(config.settings.slow, "disconnect");
	assert_string_equal(config.settings.runtime_dir, "/x=y");
	assert_int_equal(config.listeners, 2);
	assert_string_equal(config.listen[0].url, "flash://127.0.0.1:3");
	assert_string_equal(config.listen[1].url, "flash://127.0.0.1:4");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		options[0] = bad[i].option;
		assert_int_equal(read_options(NULL, options), -1);
		assert_string_equal(error, bad[i].error);
	}
}

static void texts(void **state)
{
	char option[400] = "runtime_dir=/";
	const char *options[] = {option, NULL};

	(void)state;
	memset(option + 13, 'x', 254);
	assert_int_equal(read_options(NULL, options), 0);
	assert_int_equal(strlen(config.settings.runtime_dir), 255);
	option[13 + 254] = 'x';
	assert_int_equal(read_options(NULL, options), -1);
	assert_string_equal(error, "-o runtime_dir: is longer than 255 bytes");
	memset(option, 'k', 300);
	option[300] = '=';
	assert_int_equal(read_options(NULL, options), -1);
	assert_non_null(strstr(error, "unknown key"));
	assert_int_equal(read_text("user = root"), 0);
	assert_string_equal(config.settings.user, "root");
}

static void defaults(void **state)
{
	struct config_source nothing = {0}, there = {.runtime_dir = "/run/another"};
	struct settings s;
	char dir[64];
	cpu_set_t set;

	(void)state;
	assert_int_equal(config_read(&config, &nothing, error), 0);
	assert_int_equal(config.listeners, 3);
	assert_string_equal(config.listen[0].url, "flash://127.0.0.1:8081");
	assert_string_equal(config.listen[1].url, "http://127.0.0.1:8080");
	assert_string_equal(config.listen[2].url, "admin://127.0.0.1:8082");
	assert_string_equal(config.file, "");
	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	assert_int_equal(config.settings.workers, CPU_COUNT(&set) < WORKERS_MAX ? CPU_COUNT(&set) : WORKERS_MAX);
	snprintf(dir, sizeof(dir), "/tmp/janus-%u", (unsigned)geteuid());
	assert_string_equal(config.settings.runtime_dir, geteuid() ? dir : "/run/janus");
	assert_int_equal(config_read(&config, &there, error), 0);
	assert_string_equal(config.settings.runtime_dir, "/run/another");
	settings_defaults(&s);
	assert_int_equal(s.ring_bytes, 67108864);
	assert_int_equal(s.workers, 1);
	assert_true(s.page == PAGE_ON && s.broadcast == BROADCAST_OFF && !s.origins[0] && !s.flood_messages && !s.flood_bytes);
	assert_true(s.http_timeout == 20000 && s.keep_alive == 75000 && s.idle_limit == 0);
	assert_true(s.max_head == 16384 && s.max_fields == 100);
	assert_int_equal(settings_log_level(&s), LOG_LEVEL_INFO);
	assert_int_equal(read_text("log_level = warning"), 0);
	assert_int_equal(settings_log_level(&config.settings), LOG_LEVEL_WARNING);
	setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
	assert_int_equal(config_read(&config, &nothing, error), 0);
	assert_string_equal(config.settings.runtime_dir, geteuid() ? "/run/user/7/janus" : "/run/janus");
	unsetenv("XDG_RUNTIME_DIR");
}

/* An installed file is read where there is no -c, from when it is there on; one that is there and can't be read, or is wrong, is an error. */
static void installed_file(void **state)
{
	struct config_source source = {.installed = FILE_NAME}, given = {.file = "given.ini", .installed = FILE_NAME};
	FILE *f;

	(void)state;
	unlink(FILE_NAME);
	assert_int_equal(config_read(&config, &source, error), 0);
	assert_string_equal(config.file, "");
	write_file("workers = 7", 11);
	assert_int_equal(config_read(&config, &source, error), 0);
	assert_int_equal(config.settings.workers, 7);
	assert_non_null(strstr(config.file, "/" FILE_NAME));
	f = fopen("given.ini", "w");
	assert_non_null(f);
	fputs("workers = 8", f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(config_read(&config, &given, error), 0);
	assert_int_equal(config.settings.workers, 8);
	unlink("given.ini");
	assert_int_equal(config_read(&config, &given, error), -1);
	assert_non_null(strstr(error, "given.ini"));
	write_file("workers = none", 14);
	assert_int_equal(config_read(&config, &source, error), -1);
	assert_non_null(strstr(error, FILE_NAME ":1: workers"));
	source.installed = "/tmp";
	assert_int_equal(config_read(&config, &source, error), -1);
	source.installed = "/dev/null/janus.ini";
	assert_int_equal(config_read(&config, &source, error), 0);
}

/* The file that is packaged is all of the defaults, and has all keys. */
static void default_file(void **state)
{
	struct config_source nothing = {0}, source = {.file = DEFAULT_FILE};
	struct config plain;
	char line[512];
	unsigned found = 0, listen = 0;
	FILE *f;

	(void)state;
	assert_int_equal(chdir(top), 0);
	if (config_read(&config, &source, error) < 0)
		fail_msg("%s", error);
	f = fopen(DEFAULT_FILE, "r");
	assert_non_null(f);
	assert_int_equal(chdir(folder), 0);
	assert_int_equal(config_read(&plain, &nothing, error), 0);
	assert_memory_equal(&config.settings, &plain.settings, sizeof(plain.settings));
	for (unsigned i = 0; i < config.listeners; i++) {
		assert_true(config.listen[i].line > 0);
		assert_int_equal(plain.listen[i].line, CONFIG_DEFAULT);
		config.listen[i].line = CONFIG_DEFAULT;
	}
	assert_memory_equal(config.listen, plain.listen, sizeof(plain.listen));
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, " =\n")] = '\0';
		for (unsigned i = 0; i < SETTINGS; i++)
			found += strcmp(line, settings_table[i].name) == 0;
		found += strcmp(line, "workers") == 0;
		listen += strcmp(line, "listen") == 0;
	}
	fclose(f);
	assert_int_equal(found, SETTINGS + 1);	/* none is there twice: that would be an error */
	assert_int_equal(listen, plain.listeners);
}

/* ---- what takes a restart ---- */

/* One changed at a time: those that take a restart are told, and stay as they were; the others change. */
static void reload_changes(void **state)
{
	struct settings running, wanted;
	unsigned kept = 0;

	(void)state;
	settings_defaults(&running);
	assert_null(settings_restart(&running, &running, NULL));
	for (const struct setting *d = settings_table; d < settings_table + SETTINGS; d++) {
		const struct setting *told;

		settings_defaults(&wanted);
		if (settings_room(d) > 0)
			strcpy(settings_text(&wanted, d), "other");
		else
			++*settings_number(&wanted, d);
		told = settings_restart(&wanted, &running, NULL);
		assert_true(d->restart ? told == d : !told);
		if (told)
			assert_null(settings_restart(&wanted, &running, told));
		settings_keep(&wanted, &running);
		assert_int_equal(memcmp(&wanted, &running, sizeof(wanted)) == 0, d->restart);
		kept += d->restart;
	}
	assert_in_range(kept, 1, SETTINGS - 1);
	assert_true(settings_table[SETTING_PLACE_ring_bytes].restart && settings_table[SETTING_PLACE_user].restart);
	assert_false(settings_table[SETTING_PLACE_slow].restart || settings_table[SETTING_PLACE_hosts].restart);
}

/* ---- settings through msgpack ---- */

static int unpack(struct settings *s, const msgpack_sbuffer *buf)
{
	const uint8_t *at = (const uint8_t *)buf->data;
	struct msgpack_value map;

	assert_true(msgpack_walk_take(&at, at + buf->size, &map));
	return settings_unpack(s, &map);
}

static void lines_of_history(void **state)
{
	(void)state;
	assert_int_equal(read_text("history = news.*: 100 messages, 1h; @*: 1M\nring_bytes = 16M\nhistory = *: 10 messages\n"), 0);
	assert_string_equal(config.settings.history, "news.*: 100 messages, 1h; @*: 1M;*: 10 messages");
}

static void settings_round_trip(void **state)
{
	msgpack_sbuffer buf;
	msgpack_packer to;
	struct settings got;

	(void)state;
	assert_int_equal(read_text("runtime_dir = /x\nuser = root\nring_bytes = 16G\nslow = disconnect\nio = send\n"
				   "page = off\nbroadcast = on\norigins = https://a http://b:1\nhosts = a.example *.b\nheartbeat = 1234ms\nlog_level = debug\nworkers = 7\nmax_connections = 100m\n"), 0);
	msgpack_sbuffer_init(&buf);
	msgpack_packer_init(&to, &buf, msgpack_sbuffer_write);
	settings_pack(&config.settings, &to);
	memset(&got, 0x5a, sizeof(got));
	assert_int_equal(unpack(&got, &buf), 0);
	assert_memory_equal(&got, &config.settings, sizeof(got));
	msgpack_sbuffer_destroy(&buf);
}

static void pack_text(msgpack_packer *to, const char *text)
{
	msgpack_pack_str(to, strlen(text));
	msgpack_pack_str_body(to, text, strlen(text));
}

/* A map of one pair; `text` or, if that is NULL, a number. */
static int unpack_pair(struct settings *s, const char *key, const char *text, int64_t number)
{
	msgpack_sbuffer buf;
	msgpack_packer to;
	int rc;

	msgpack_sbuffer_init(&buf);
	msgpack_packer_init(&to, &buf, msgpack_sbuffer_write);
	msgpack_pack_map(&to, 1);
	pack_text(&to, key);
	if (text)
		pack_text(&to, text);
	else
		msgpack_pack_int64(&to, number);
	rc = unpack(s, &buf);
	msgpack_sbuffer_destroy(&buf);
	return rc;
}

static void settings_of_other_versions(void **state)
{
	struct settings s, plain, before;
	char text[SETTINGS_TEXT_MAX + 1];

	(void)state;
	settings_defaults(&plain);
	assert_int_equal(unpack_pair(&s, "from_the_future", "x", 0), 0);
	assert_memory_equal(&s, &plain, sizeof(s));
	assert_int_equal(unpack_pair(&s, "max_frame", NULL, 5000), 0);
	assert_int_equal(s.max_frame, 5000);
	s.max_frame = plain.max_frame;
	assert_memory_equal(&s, &plain, sizeof(s));

	before = s;
	assert_int_equal(unpack_pair(&s, "max_frame", NULL, 5), -1);
	assert_int_equal(unpack_pair(&s, "max_frame", NULL, -5), -1);
	assert_int_equal(unpack_pair(&s, "max_frame", NULL, INT64_MAX), -1);
	assert_int_equal(unpack_pair(&s, "max_frame", "5000", 0), -1);
	assert_int_equal(unpack_pair(&s, "workers", NULL, 0), -1);
	assert_int_equal(unpack_pair(&s, "workers", NULL, 65), -1);
	assert_int_equal(unpack_pair(&s, "io", "sk", 0), -1);
	assert_int_equal(unpack_pair(&s, "slow", NULL, 1), -1);
	assert_int_equal(unpack_pair(&s, "user", NULL, 1), -1);
	memset(text, 'x', sizeof(text));
	text[SETTINGS_TEXT_MAX] = '\0';
	assert_int_equal(unpack_pair(&s, "user", text, 0), -1);
	assert_memory_equal(&s, &before, sizeof(s));
	assert_int_equal(settings_unpack(&s, &(struct msgpack_value){ .kind = WALK_NIL }), -1);
}

static char said[20][CONFIG_ERROR_MAX];

static void say(void *arg, const char *text)
{
	unsigned *count = arg;

	assert_true(*count < 20);
	snprintf(said[(*count)++], CONFIG_ERROR_MAX, "%s", text);
}

/* All that is wrong, in order: of lines, of options, and of what depends on each other; and a # that is no comment. */
static void all_errors(void **state)
{
	static const char text[] = "workers = 0\nretry = 3s\n[janus]\nnonsense = 1\nno key\nheartbeat = 1m\nidle_limit = 5s\nretry = 2s\nhistory = #a: 3 messages; b #c: 1M\n";
	const char *options[] = {"io=none", "max_head=17K"};
	struct config_source source = {.file = FILE_NAME, .options = options, .count = 2};
	static const char *const wanted[] = {"janus.ini:1: workers", "janus.ini:3: [sections]", "janus.ini:4: nonsense: unknown key",
					     "janus.ini:5: not of the form", "janus.ini:8: retry: line 2 has it already", "-o io: `none`", "idle_limit (5s) must be"};
	static struct config all;
	unsigned count = 0;

	(void)state;
	write_file(text, strlen(text));
	assert_int_equal(config_check(&all, &source, say, &count), 7);
	assert_int_equal(count, 7);
	for (unsigned i = 0; i < count; i++)
		if (strncmp(said[i], wanted[i], strlen(wanted[i])) != 0)
			fail_msg("%s, not %s", said[i], wanted[i]);
	assert_int_equal(all.settings.max_head, 17408);
	assert_string_equal(all.settings.history, "#a: 3 messages; b #c: 1M");
	/* One that can't be opened leaves the options, which are looked at all the same. */
	source.file = "none.ini";
	count = 0;
	assert_int_equal(config_check(&all, &source, say, &count), 2);
	count = 0;
	options[0] = "io=send";
	source.file = NULL;
	assert_int_equal(config_check(&all, &source, say, &count), 0);
	/* The first one alone, as a start says it. */
	write_file(text, strlen(text));
	assert_int_equal(read_options(text, (const char *[]){"io=none", NULL}), -1);
	assert_memory_equal(error, wanted[0], strlen(wanted[0]));
}

/* Where each setting was set. */
static void lines(void **state)
{
	const char *options[] = {"retry=3s", NULL};

	(void)state;
	assert_int_equal(read_options("\nheartbeat = 9s\norigins = https://a\norigins = https://b\nlisten = http://127.0.0.1:1\nworkers = 3\nretry = 1s\n", options), 0);
	assert_int_equal(config.lines.of[SETTING_PLACE_heartbeat], 2);
	assert_int_equal(config.lines.of[SETTING_PLACE_origins], 3);
	assert_int_equal(config.lines.of[SETTING_PLACE_retry], CONFIG_OPTION);
	assert_int_equal(config.lines.of[SETTING_PLACE_max_head], CONFIG_DEFAULT);
	assert_int_equal(config.lines.of[SETTINGS], 6);
	assert_int_equal(config.listen[0].line, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_numbers),
		cmocka_unit_test(bad_lines),
		cmocka_unit_test(long_lines),
		cmocka_unit_test(all_errors),
		cmocka_unit_test(lines),
		cmocka_unit_test(files),
		cmocka_unit_test(options_win),
		cmocka_unit_test(texts),
		cmocka_unit_test(defaults),
		cmocka_unit_test(installed_file),
		cmocka_unit_test(default_file),
		cmocka_unit_test(reload_changes),
		cmocka_unit_test(lines_of_history),
		cmocka_unit_test(settings_round_trip),
		cmocka_unit_test(settings_of_other_versions),
	};

	return cmocka_run_group_tests_name("config", tests, setup, teardown);
}
