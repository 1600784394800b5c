/*
 * A TLS server in C over TlsGate's IOCTLs: one connection, one line, a clean end.
 *
 *     handshake THUMBPRINT PORT
 *
 * THUMBPRINT names a certificate of the machine's store MY. PORT 0 lets the system choose one. What the
 * structures mean is told in tlsgate.h and in the documentation of driver/protocol.
 */
#define WIN32_LEAN_AND_MEAN
#include <winsock2.h>
#include <windows.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tlsgate.h>

static const char LINE[] = "Hello from C, over a TLS connection that the kernel made.\r\n";

static HANDLE device;

/*
 * What follows a request or a reply lies right behind it. The size of such a pair is that of its parts: sizeof
 * the pair may count padding at its end, which the driver refuses as a request that is too long.
 */
static struct { tlsgate_acquire_request request; tlsgate_certificate_reference certificate; } acquire;
static struct { tlsgate_accept_request request; uint8_t stream[TLSGATE_MAX_INPUT]; } leg;
static struct { tlsgate_leg_reply reply; uint8_t token[TLSGATE_MAX_TOKEN]; } leg_reply;
static struct { tlsgate_record_request request; char data[sizeof LINE - 1]; } seal;
static struct { tlsgate_record_reply reply; uint8_t records[TLSGATE_MAX_RECORD]; } record;

static _Noreturn void fail(const char *what, unsigned long code)
{
    fprintf(stderr, "%s: %#lx\n", what, code);
    exit(1);
}

/* One IOCTL. Misuse makes it fail; what became of TLS is data, the status in the reply. */
static void call(const char *what, uint32_t code, const void *in, size_t in_size, void *out, size_t out_size)
{
    DWORD length;
    if (!DeviceIoControl(device, code, (void *)in, (DWORD)in_size, out, (DWORD)out_size, &length, NULL))
        fail(what, GetLastError());
}

static void send_all(SOCKET socket, const void *data, uint32_t length)
{
    for (const char *next = data; length > 0;) {
        int sent = send(socket, next, (int)length, 0);
        if (sent == SOCKET_ERROR)
            fail("send", (unsigned long)WSAGetLastError());
        next += sent;
        length -= (uint32_t)sent;
    }
}

static uint64_t acquire_credential(const char *thumbprint)
{
    acquire.request.head.version = TLSGATE_ABI_VERSION;
    acquire.request.role = TLSGATE_ROLE_SERVER;
    acquire.request.certificate_count = 1;
    acquire.certificate.store_scope = TLSGATE_STORE_SCOPE_MACHINE;
    for (size_t i = 0; i < sizeof acquire.certificate.thumbprint; i++) {
        const char digits[] = { thumbprint[2 * i], thumbprint[2 * i + 1], '\0' };
        unsigned long byte = strtoul(digits, NULL, 16);
        acquire.certificate.thumbprint[i] = (uint8_t)byte;
    }
    tlsgate_acquire_reply reply;
    call("ACQUIRE_CREDENTIAL", TLSGATE_IOCTL_ACQUIRE_CREDENTIAL, &acquire,
         sizeof acquire.request + sizeof acquire.certificate, &reply, sizeof reply);
    if (reply.credential == 0)
        fail("no credential", (unsigned long)reply.head.status);
    return reply.credential;
}

/* Shakes hands and gives the session. So many bytes of leg.stream are left then: they are for UNSEAL. */
static uint64_t shake_hands(SOCKET socket, uint64_t credential, uint32_t *left)
{
    uint32_t have = 0; /* bytes of stream that no leg has used up */
    leg.request.head.version = TLSGATE_ABI_VERSION;
    leg.request.credential = credential;
    for (;;) {
        int received = recv(socket, (char *)leg.stream + have, (int)(sizeof leg.stream - have), 0);
        if (received <= 0)
            fail("the client has gone", 0);
        have += (uint32_t)received;
        do {
            leg.request.input_length = have;
            call("ACCEPT", TLSGATE_IOCTL_ACCEPT, &leg, sizeof leg.request + have, &leg_reply, sizeof leg_reply);
            const tlsgate_leg_reply *reply = &leg_reply.reply;
            /* The first leg with a whole record makes the session; later ones name it instead. */
            if (reply->session != 0) {
                leg.request.session = reply->session;
                leg.request.credential = 0;
            }
            /* A token is sent whatever the status is: with an error, it is the alert. */
            send_all(socket, leg_reply.token, reply->produced);
            have -= reply->consumed;
            memmove(leg.stream, leg.stream + reply->consumed, have);
            if (reply->state == TLSGATE_STATE_ESTABLISHED) {
                *left = have;
                return reply->session;
            }
            if (reply->head.status < 0 && reply->head.status != SEC_E_INCOMPLETE_MESSAGE)
                fail("no handshake", (unsigned long)reply->head.status);
        } while (leg_reply.reply.consumed > 0 && have > 0);
    }
}

static void say_the_line(SOCKET socket, uint64_t session)
{
    seal.request.head.version = TLSGATE_ABI_VERSION;
    seal.request.session = session;
    seal.request.length = sizeof seal.data;
    memcpy(seal.data, LINE, sizeof seal.data);
    call("SEAL", TLSGATE_IOCTL_SEAL, &seal, sizeof seal.request + sizeof seal.data, &record, sizeof record);
    if (record.reply.outcome != TLSGATE_OUTCOME_DATA)
        fail("SEAL", (unsigned long)record.reply.head.status);
    send_all(socket, record.records, record.reply.produced);
}

/* close_notify, where this Windows makes one and SHUTDOWN is not switched off; else the connection ends without. */
static void say_goodbye(SOCKET socket, const tlsgate_session_request *about)
{
    DWORD length;
    if (!DeviceIoControl(device, TLSGATE_IOCTL_SHUTDOWN, (void *)about, sizeof *about, &record, sizeof record,
                         &length, NULL)) {
        if (GetLastError() != ERROR_NOT_SUPPORTED)
            fail("SHUTDOWN", GetLastError());
    } else if (record.reply.outcome == TLSGATE_OUTCOME_DATA) {
        send_all(socket, record.records, record.reply.produced);
    }
}

static SOCKET next_client(unsigned short port)
{
    WSADATA data;
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    int length = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (WSAStartup(MAKEWORD(2, 2), &data) != 0)
        fail("WSAStartup", 0);
    SOCKET listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, 1) != 0
        || getsockname(listener, (struct sockaddr *)&address, &length) != 0)
        fail("listen", (unsigned long)WSAGetLastError());
    printf("listening on 127.0.0.1:%u\n", ntohs(address.sin_port));
    fflush(stdout);
    SOCKET client = accept(listener, NULL, NULL);
    if (client == INVALID_SOCKET)
        fail("accept", (unsigned long)WSAGetLastError());
    return client;
}

int main(int count, char **arguments)
{
    if (count != 3)
        fail("usage: handshake THUMBPRINT PORT", 0);
    if (strlen(arguments[1]) != 40 || strspn(arguments[1], "0123456789abcdefABCDEF") != 40)
        fail("a thumbprint has 40 hexadecimal digits", 0);
    device = CreateFileA(TLSGATE_DEVICE_PATH, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING, 0, NULL);
    if (device == INVALID_HANDLE_VALUE)
        fail(TLSGATE_DEVICE_PATH, GetLastError());
    tlsgate_request_head head = { .version = TLSGATE_ABI_VERSION };
    tlsgate_version_reply version;
    call("QUERY_VERSION", TLSGATE_IOCTL_QUERY_VERSION, &head, sizeof head, &version, sizeof version);
    if (version.head.version != TLSGATE_ABI_VERSION)
        fail("the driver speaks another ABI version", version.head.version);

    uint64_t credential = acquire_credential(arguments[1]);
    SOCKET socket = next_client((unsigned short)atoi(arguments[2]));
    uint32_t left;
    uint64_t session = shake_hands(socket, credential, &left);
    tlsgate_session_request about = { .head = head, .session = session };
    tlsgate_session_reply facts;
    call("QUERY_SESSION", TLSGATE_IOCTL_QUERY_SESSION, &about, sizeof about, &facts, sizeof facts);
    if (facts.head.status < 0)
        fail("QUERY_SESSION", (unsigned long)facts.head.status);
    printf("protocol %#x, cipher suite %#06x\n", facts.protocol, facts.cipher_suite);
    say_the_line(socket, session);

    say_goodbye(socket, &about);
    /* What the client says does not matter here. A server that wants it gives UNSEAL what is left first. */
    (void)left;
    /* The client's end is waited for, so that no reset overtakes the last record. */
    shutdown(socket, SD_SEND);
    while (recv(socket, (char *)leg.stream, sizeof leg.stream, 0) > 0)
        ;
    closesocket(socket);
    tlsgate_close_reply closed;
    call("CLOSE_SESSION", TLSGATE_IOCTL_CLOSE_SESSION, &about, sizeof about, &closed, sizeof closed);
    tlsgate_release_request release = { .head = head, .credential = credential };
    tlsgate_release_reply released;
    call("RELEASE_CREDENTIAL", TLSGATE_IOCTL_RELEASE_CREDENTIAL, &release, sizeof release,
         &released, sizeof released);
    return 0;
}
