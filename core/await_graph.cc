// Drawing the await graph: first the edges between tasks are gathered, then the tree is walked.
#include "core/await_graph.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>

#include "core/event_loop.h"
#include "core/trace/place.h"
#include "platform/memory.h"

namespace pollard {

namespace {

/// Of a longer chain of frames the middle is left out.
constexpr std::size_t frames_at_either_end = 8;
/// Deeper than this, what is below is only counted. It bounds the recursion here, and the width of a line.
constexpr int deepest_level = 100;

}  // namespace

Frame* waiter_of(Work& work) {
    Work* woken = &work;
    while (woken != nullptr && !woken->type->is_frame)
        woken = woken->type->wakes != nullptr ? woken->type->wakes(woken) : nullptr;
    return static_cast<Frame*>(woken);
}

Text describe_wait(Frame& frame) {
    Text text;
    if (frame.site == nullptr) {
        const bool waits_for_first_turn = frame.linked() && frame.resume_point == at_beginning;
        return text.add(waits_for_first_turn ? "has not begun" : "runs");
    }
    text.add("at %s, %s", describe_place(*frame.site).c_str(), describe_await(frame).c_str());
    // What is a frame or a task itself stands on a line of its own.
    if (frame.site->awaited->kind != AwaitedType::Kind::leaf) return text;
    Text what;
    frame.site->awaited->describe(awaited_by(frame), what);
    const bool is_said = part_of(text.view(), text.size - std::min(text.size, what.size)) == what.view();
    if (!is_said) text.add(": %s", what.c_str());
    return text;
}

namespace {

/// Calls tell(frame) from the outermost in, and skip(how_many) once where the middle is left out.
template <class Tell, class Skip>
void for_each_frame(Frame& root, Tell tell, Skip skip) {
    std::size_t count = 0;
    for (Frame* frame = &root; frame != nullptr; frame = child_of(*frame)) ++count;
    std::size_t i = 0;
    for (Frame* frame = &root; frame != nullptr; frame = child_of(*frame), ++i) {
        const bool in_the_middle = i >= frames_at_either_end && i + frames_at_either_end < count;
        if (!in_the_middle)
            tell(*frame);
        else if (i == frames_at_either_end)
            skip(count - 2 * frames_at_either_end);
    }
}

// --- the edges ---

/// An index into one of the graph's arrays.
using Index = std::uint32_t;
constexpr Index no_index = ~Index{0};

struct Node {
    TaskState* task;
    Index first_edge = no_index;  // to the tasks that this one waits for, in the order of their creation
    Index last_edge = no_index;
    Index next_to_visit = no_index;
    // On the way of a search for circles: where it came from, and what it has not followed yet.
    Index came_from = no_index;
    Index next_edge = no_index;
    bool is_awaited = false;  // not: a root
    bool begins_circle = false;
    bool searched = false;
    bool reached = false;
    bool printed = false;
    bool on_path = false;
};
struct Edge {
    Index node;
    Index next = no_index;
};

class AwaitGraph {
public:
    explicit AwaitGraph(Scheduler& loop) : loop_(loop) {}
    AwaitGraph(const AwaitGraph&) = delete;
    ~AwaitGraph() {
        release(nodes_);
        release(edges_);
    }

    /// False: memory is out.
    bool build();
    void print(std::FILE* out);

private:
    struct Level;

    template <class Tell>
    void for_each_wait(Tell tell);
    /// In the order of the tasks' creation.
    template <class Tell>
    void for_each_node(Tell tell) {
        for (Link* link = loop_.tasks.next; link != &loop_.tasks; link = link->next)
            tell(find(TaskState::of(link)));
    }
    Index find(const TaskState* task) const;
    void add_edge(Index from, Index to);
    void reach_from(Index start);
    void search_circles(Index start, std::FILE* out);
    void print_circle(Index first, Index last, std::FILE* out);
    void print_task(Index index, const Level& level, std::FILE* out);
    void print_children(Index index, const Level& level, std::FILE* out);

    Scheduler& loop_;
    Node* nodes_ = nullptr;  // by address of the task
    Edge* edges_ = nullptr;
    Index node_count_ = 0;
    Index edge_count_ = 0;
};

/// Calls tell(waiting task, awaited task) for each wait of a task for another, in the order of the awaited's creation.
template <class Tell>
void AwaitGraph::for_each_wait(Tell tell) {
    for (Link* link = loop_.tasks.next; link != &loop_.tasks; link = link->next) {
        TaskState& awaited = *TaskState::of(link);
        for (Work* work = awaited.waiters.first(); work != nullptr; work = awaited.waiters.next(*work)) {
            Frame* frame = waiter_of(*work);
            TaskState* waiting = frame == nullptr ? nullptr : task_of(*frame);
            if (waiting != nullptr) tell(*waiting, awaited);
        }
    }
}

bool AwaitGraph::build() {
    for (const Link* link = loop_.tasks.next; link != &loop_.tasks; link = link->next) ++node_count_;
    Index waits = 0;
    for_each_wait([&](TaskState&, TaskState&) { ++waits; });
    nodes_ = static_cast<Node*>(allocate((node_count_ + std::size_t{1}) * sizeof(Node)));
    edges_ = static_cast<Edge*>(allocate((waits + std::size_t{1}) * sizeof(Edge)));
    if (nodes_ == nullptr || edges_ == nullptr) return false;
    Index i = 0;
    for (Link* link = loop_.tasks.next; link != &loop_.tasks; link = link->next)
        ::new (&nodes_[i++]) Node{.task = TaskState::of(link)};
    // (A heap sort is a quarter of the instructions of std::sort, and this is never in a hurry.)
    const auto by_address = [](const Node& a, const Node& b) { return a.task < b.task; };
    std::make_heap(nodes_, nodes_ + node_count_, by_address);
    std::sort_heap(nodes_, nodes_ + node_count_, by_address);
    for_each_wait([&](TaskState& waiting, TaskState& awaited) {
        if (const Index from = find(&waiting); from != no_index) add_edge(from, find(&awaited));
    });
    return true;
}

Index AwaitGraph::find(const TaskState* task) const {
    const Node* begin = nodes_;
    const Node* end = nodes_ + node_count_;
    const Node* found = std::lower_bound(begin, end, task,
                                         [](const Node& node, const TaskState* t) { return node.task < t; });
    return found != end && found->task == task ? static_cast<Index>(found - nodes_) : no_index;
}

void AwaitGraph::add_edge(Index from, Index to) {
    Node& node = nodes_[from];
    // A task that is named twice in one gather stands there once.
    if (node.last_edge != no_index && edges_[node.last_edge].node == to) return;
    ::new (&edges_[edge_count_]) Edge{.node = to};
    (node.last_edge == no_index ? node.first_edge : edges_[node.last_edge].next) = edge_count_;
    node.last_edge = edge_count_++;
    nodes_[to].is_awaited = true;
}

/// Marks all that `start` waits for, however indirectly.
void AwaitGraph::reach_from(Index start) {
    Index last = start;
    nodes_[start].reached = true;
    for (Index next = start; next != no_index; next = nodes_[next].next_to_visit) {
        for (Index edge = nodes_[next].first_edge; edge != no_index; edge = edges_[edge].next) {
            Node& child = nodes_[edges_[edge].node];
            if (child.reached) continue;
            child.reached = true;
            nodes_[last].next_to_visit = edges_[edge].node;
            last = edges_[edge].node;
        }
    }
}

// --- the picture ---

/// Where a line stands: what is drawn in front of it, for those above it that are not the last of their row.
struct AwaitGraph::Level {
    const Level* above = nullptr;
    bool last = true;
    int depth = 0;

    Level below(bool is_last) const { return {.above = this, .last = is_last, .depth = depth + 1}; }
    void print_rail(std::FILE* out) const {
        if (above == nullptr) return;
        above->print_rail(out);
        std::fputs(last ? "    " : "|   ", out);
    }
    void print_branch(std::FILE* out) const {
        if (above == nullptr) return;
        above->print_rail(out);
        std::fputs(last ? "`-- " : "|-- ", out);
    }
};

void AwaitGraph::print_task(Index index, const Level& level, std::FILE* out) {
    Node& node = nodes_[index];
    const Text name = name_of(*node.task);
    level.print_branch(out);
    if (node.on_path || node.printed) {
        std::fprintf(out, "%s, %s\n", name.c_str(),
                     node.on_path ? "which waits for this" : "which is shown above");
        return;
    }
    node.printed = true;
    node.on_path = true;
    // Each frame stands one level deeper than the one that waits for it.
    Level levels[2 * frames_at_either_end + 2];
    std::size_t used = 0;
    levels[0] = level;
    Frame& root = node.task->root();
    for_each_frame(
        root,
        [&](Frame& frame) {
            if (&frame != &root) {
                levels[used + 1] = levels[used].below(true);
                levels[++used].print_branch(out);
            }
            std::fprintf(out, "%s %s, since turn %u\n",
                         &frame == &root ? name.c_str() : frame.frame_type().name,
                         describe_wait(frame).c_str(), frame.since_turn);
        },
        [&](std::size_t count) {
            levels[used + 1] = levels[used].below(true);
            levels[++used].print_branch(out);
            std::fprintf(out, "... %zu frames in between\n", count);
        });
    print_children(index, levels[used], out);
    node.on_path = false;
}

void AwaitGraph::print_children(Index index, const Level& level, std::FILE* out) {
    for (Index edge = nodes_[index].first_edge; edge != no_index; edge = edges_[edge].next) {
        const Level child = level.below(edges_[edge].next == no_index);
        if (child.depth <= deepest_level) {
            print_task(edges_[edge].node, child, out);
            continue;
        }
        const Level only = level.below(true);
        only.print_branch(out);
        std::fprintf(out, "... and what these wait for\n");
        return;
    }
}

/// Follows all waits from here on, and names each circle that they lead into.
void AwaitGraph::search_circles(Index start, std::FILE* out) {
    nodes_[start].next_edge = nodes_[start].first_edge;
    nodes_[start].on_path = true;
    for (Index at = start; at != no_index;) {
        Node& node = nodes_[at];
        node.searched = true;
        if (node.next_edge == no_index) {
            node.on_path = false;
            at = node.came_from;
            continue;
        }
        const Index next = edges_[node.next_edge].node;
        node.next_edge = edges_[node.next_edge].next;
        if (nodes_[next].on_path) print_circle(next, at, out);
        if (nodes_[next].searched) continue;
        nodes_[next].came_from = at;
        nodes_[next].next_edge = nodes_[next].first_edge;
        nodes_[next].on_path = true;
        at = next;
    }
}

/// `last` waits for `first`, and stands on the way that began there.
void AwaitGraph::print_circle(Index first, Index last, std::FILE* out) {
    std::fprintf(out, "a circle: %s is awaited by ", name_of(*nodes_[first].task).c_str());
    Index next = last;
    for (int named = 0; next != first && named < deepest_level; ++named) {
        std::fprintf(out, "%s, which is awaited by ", name_of(*nodes_[next].task).c_str());
        next = nodes_[next].came_from;
    }
    std::fprintf(out, "%s; none of these can ever go on\n",
                 next == first ? name_of(*nodes_[first].task).c_str() : "...");
    nodes_[first].begins_circle = true;
}

/// In the order of creation. Tasks in a circle that nobody from outside waits for stand below one of them.
void AwaitGraph::print(std::FILE* out) {
    for_each_node([&](Index i) {
        if (!nodes_[i].searched) search_circles(i, out);
        if (!nodes_[i].is_awaited) reach_from(i);
    });
    for_each_node([&](Index i) {
        const bool is_top = !nodes_[i].is_awaited || (nodes_[i].begins_circle && !nodes_[i].reached);
        if (!is_top) return;
        reach_from(i);
        print_task(i, Level{}, out);
    });
}

}  // namespace

void print_tree(Scheduler& loop, std::FILE* out) {
    const SchedulerScope scope(loop);
    std::size_t count = 0;
    for (const Link* link = loop.tasks.next; link != &loop.tasks; link = link->next) ++count;
    const char* kernel = loop.loop != nullptr ? loop.loop->kernel_name() : "no kernel";
    std::fprintf(out, "%s, turn %u: %zu task%s\n", kernel, loop.turn_count, count, count == 1 ? "" : "s");
    AwaitGraph graph(loop);
    if (graph.build())
        graph.print(out);
    else
        std::fprintf(out, "... and no memory to draw them\n");
    std::fflush(out);
}

// --- upwards ---

namespace {

/// The tasks on the way to this one, from the bottom up.
struct Way {
    const TaskState* task;
    const Way* before;
    int depth;

    bool has(const TaskState* other) const {
        for (const Way* way = this; way != nullptr; way = way->before)
            if (way->task == other) return true;
        return false;
    }
};

void print_stack(TaskState& task, int indent, std::FILE* out) {
    Frame* const inner = innermost(task.root());
    std::size_t count = 1;
    for (Frame* frame = inner; frame != &task.root(); frame = frame->waiter) ++count;
    std::size_t i = 0;
    for (Frame* frame = inner;; frame = frame->waiter, ++i) {
        if (i == frames_at_either_end && count > 2 * frames_at_either_end)
            std::fprintf(out, "%*s|   ... %zu frames in between\n", indent, "",
                         count - 2 * frames_at_either_end);
        if (i < frames_at_either_end || i + frames_at_either_end >= count)
            std::fprintf(out, "%*s|   %s %s\n", indent, "", frame->frame_type().name,
                         describe_wait(*frame).c_str());
        if (frame == &task.root()) return;
    }
}

void print_upwards(TaskState& task, const Way& way, std::FILE* out) {
    const int indent = 4 * way.depth;
    std::fprintf(out, "%*s* Task %s\n%*s  + Call stack:\n", indent, "", name_of(task).c_str(), indent, "");
    print_stack(task, indent + 2, out);
    bool is_first = true;
    for (Work* work = task.waiters.first(); work != nullptr; work = task.waiters.next(*work)) {
        Frame* frame = waiter_of(*work);
        TaskState* waiting = frame == nullptr ? nullptr : task_of(*frame);
        if (waiting == nullptr) continue;
        if (is_first) std::fprintf(out, "%*s  + Awaited by:\n", indent, "");
        is_first = false;
        if (way.has(waiting))
            std::fprintf(out, "%*s    * Task %s, which waits for this: a circle\n", indent, "",
                         name_of(*waiting).c_str());
        else if (way.depth == deepest_level)
            std::fprintf(out, "%*s    ... and others\n", indent, "");
        else
            print_upwards(*waiting, {.task = waiting, .before = &way, .depth = way.depth + 1}, out);
    }
}

}  // namespace

void print_call_graph(TaskState& task, std::FILE* out) {
    if (task.pool().scheduler == nullptr || task.done) {
        std::fprintf(out, "* Task %s, which is done\n", name_of(task).c_str());
        return;
    }
    const SchedulerScope scope(task.scheduler());
    print_upwards(task, {.task = &task, .before = nullptr, .depth = 0}, out);
    std::fflush(out);
}

}  // namespace pollard
