"""The tables that the compiled bus works on: int64 fields by name, addresses among them. Python allocates, compiled code fills.

desk    one a server: inbox, messages that wait for an answer, outbox, limits, counters
house   one a model: its streams and the samples that wait for a step
message, entry, peer, page: records in arrays that those two point to
"""

# -- desk --------------------------------------------------------------------------------------------------------------
(
    HOUSES, HOUSE_COUNT,                     # addresses of the houses, the first one is the default
    FIELD, STACK,                            # scratch for core.read
    INBOX, INBOX_SIZE, INBOX_USED,           # frames and peers as they came, until they are answered
    MESSAGES, MESSAGE_ROOM, MESSAGE_COUNT,   # what came, in order
    ANSWERED, ANSWERED_PART,                 # how far the answers are written, and within a block
    OUTBOX, OUTBOX_SIZE, OUTBOX_USED,        # replies as they will go out
    ENTRIES, ENTRY_ROOM, ENTRY_COUNT,        # where each of them lies, and to whom it goes
    PUBLISHES, KEEPS, EPOCH,                 # is there a PUB socket, a store; which start of the server this is
    LARGEST_FRAME, STREAMS_PER_PEER, RATE,   # limits; 0: none
    PEERS, PEER_MASK,                        # what is known of peers, if one of the last two limits is set
    NOW, STARTED,                            # microseconds, of this round and of the start
    COUNTERS, WAITS,                         # see below; WAITS: a histogram of each stage
    TEXTS,                                   # addresses and sizes of what errors say (core.codes)
    REORDER, HELD, HELD_ROOM, HELD_BYTES, HELD_COUNT, RELEASING,  # microseconds that early samples wait; their records (core.reorder)
    DESK,
) = range(38)

# -- house -------------------------------------------------------------------------------------------------------------
(
    STEPS, PROGRAM, CHUNKS, WORK, STRIDE, INPUTS, OUTPUTS, TOKENS,  # the step, the plan
    TIMED, SENSORS,                          # of a detector: inputs at the end that t gives; how many sensors, else 0
    NAME, NAME_SIZE,
    CAPACITY, OPEN, NEXT, FREE, FREES,       # streams at most, now, slots ever used; slots given back
    TABLE, MASK, SLOT_BITS, SEED,            # id -> slot
    SLOTS, HEAP, HEAP_NEXT, HEAP_FREE,       # slot records, the ids' bytes
    LASTS, DURABLE,                          # last results (capacity, outputs); durable seqs (capacity,), with a store only
    DIRTY, DIRTY_FIRST, DIRTY_LAST, DIRTY_GOAL,  # a ring of slots that changed since they were last copied; this cycle's end
    MARK, FIRST, COUNT, ROOM, MOST,          # this batch's mark; samples [FIRST, COUNT) wait for a step; room for how many; most of a frame
    HANDLES, LENGTHS, XS, YS, NOTES,         # of waiting samples: slot, 1, x, y, what to say about it
    PAGES, PAGE, PAGE_ROOM,                  # copies for the store (core.save)
    HOUSE,
) = range(45)

# a slot's record, 24 bytes; offsets in bytes
SLOT_SEQ, SLOT_SEEN, SLOT_MARK, SLOT_ID, SLOT_ID_SIZE, SLOT_FLAGS, SLOT_LIFE, SLOT_RECORD = 0, 8, 12, 16, 20, 21, 22, 24
IS_DIRTY = 1         # SLOT_LIFE, a uint16, tells one stream of a slot from the next
GRANULE = 8          # ids lie in blocks of 1 to 8 granules
SEEN_UNIT = 10_000   # microseconds: SLOT_SEEN is a uint32 and lasts for more than a year

# what to say about a sample
JUMPED, REPEATED, OPENED = 1, 2, 4

# -- records of the desk, in int64 fields ----------------------------------------------------------------------------------
(
    KIND, OF_HOUSE, ORIGIN, PEER_AT, PEER_SIZE, ENVELOPE,
    STREAM_AT, STREAM_SIZE, SEQ_AT, SEQ_SIZE, T_AT, T_SIZE, TAG_AT, TAG_SIZE, MODEL_AT, MODEL_SIZE,
    AS_BIN, WANTS_EPOCH, FIRST_SAMPLE, SAMPLES, DETAIL, EXPECTED, CAME, FRAME_AT, FRAME_SIZE,
    MESSAGE,
) = range(26)
SAMPLE, BLOCK, FAILURE, PING, RESUME, RESET, CLOSE, CONTROL = range(8)  # kinds of message
ROUTER, PULL, PUB, PIPE = range(4)                                      # origins and destinations

DESTINATION, HEAD_AT, HEAD_SIZE, BETWEEN, BODY_AT, BODY_SIZE, ENTRY = range(7)  # BETWEEN: an empty part as REQ wants it

PEER_HASH, PEER_TOKENS, PEER_SEEN, PEER_OPENED, PEER = range(5)  # TOKENS: millionths of a sample that it may still send

# a page: copies of some streams for the store, column by column. FREE: the loop may fill it, FULL: the store's thread has
# it, KEPT: it is durable, which the loop has to note
PAGE_STATE, PAGE_COUNT, PAGE_SLOTS, PAGE_SEQS, PAGE_LIVES, PAGE_IDS, PAGE_ID_SIZES, PAGE_ROWS, PAGE_RECORD = range(9)
FREE_PAGE, FULL_PAGE, KEPT_PAGE = range(3)

# -- loop --------------------------------------------------------------------------------------------------------------
(
    ROUTER_SOCKET, PULL_SOCKET, PUB_SOCKET,  # libzmq's own handles; 0: there is none
    PIPE_SOCKET, KEEPER_SOCKET,              # inproc pairs: to the thread for controls, to the one for the store
    POLL, POLL_COUNT, SCRATCH, COMMAND_ROOM,  # descriptors to wait for; room for a command, and its bytes
    TIMEOUT, POKES, WAITED_FOR,              # of the ROUTER's receive, in milliseconds; the name of pokes; the last wait, in nanoseconds
    SPIN,                                    # microseconds to look again before it sleeps
    NEXT_SAVE, SAVE_EVERY, SAVING, ASKED, CYCLE,  # when the store is due (microseconds), a cycle is under way, which ones were asked for
    STOPPING, BUSY_ROUNDS,
    NO_ROUTE, AGAIN, TERMINATED,             # values of errno
    LOOP,
) = range(24)
END_OF_CYCLE, SWAPPED, QUIT = -1, -2, -3                # notes for the store's thread, besides pages
STOP, SEND, PUBLISH, CLOSE_IDLE, SAVE, SWAP = range(6)  # commands that come through the pipe

# a sample that waits for those before it: HELD_SEQ 0: the record is free; HELD_AT: peer and frame, HELD_BYTES at most
(HELD_SEQ, HELD_HOUSE, HELD_UNTIL, HELD_PEER_SIZE, HELD_FRAME_SIZE, HELD_ORIGIN, HELD_ENVELOPE, HELD_ID, HELD_ID_SIZE, HELD_AT,
 HELD_RECORD) = range(11)

# -- counters ------------------------------------------------------------------------------------------------------------
(
    FRAMES_IN, BYTES_IN, SAMPLES_STEPPED, BLOCKS, DUPLICATES, JUMPS, JUMPED_OVER, OPENED_STREAMS, CLOSED_STREAMS,
    REPLIES, REPLIES_GONE, REPLIES_FULL, PUBLISHED, PUBLISHED_FULL, ERRORS, ROUNDS, PAGES_COPIED, HELD_BACK,
    COUNTERS_BEFORE_ERRORS,
) = range(19)  # then one for each detail of core.codes

STAGES = 4                 # receive and decode, step, answer, all of it
WAITED, STEPPED, SENT, WHOLE = range(STAGES)
BUCKETS = 4 * 32           # four an octave, of nanoseconds
