#include "chat_window.h"

#include <QApplication>
#include <QCloseEvent>
#include <QFileInfo>
#include <QFrame>
#include <QHBoxLayout>
#include <QKeyEvent>
#include <QVBoxLayout>

ChatWindow::ChatWindow(const nibble::Options& options)
    : options_(options), engine_(std::make_unique<ChatEngine>()) {
  Theme::light().apply(*qApp);  // the font, before there is a layout
  setWindowTitle("nibble chat");
  resize(1120, 740);
  build();
  listen();
  set_dark(false);
  start_again();
}

void ChatWindow::build() {
  panel_ = new ModelPanel;
  view_ = new ChatView;
  auto* header = new QWidget;
  header->setObjectName("header");
  header->setAttribute(Qt::WA_StyledBackground);
  name_ = new QLabel("No model open");
  name_->setObjectName("name");
  status_ = new QLabel("Pick one at the left.");
  status_->setObjectName("muted");
  fresh_ = new QPushButton("New chat");
  auto* titles = new QVBoxLayout;
  titles->setSpacing(1);
  titles->addWidget(name_);
  titles->addWidget(status_);
  auto* top = new QHBoxLayout(header);
  top->setContentsMargins(28, 12, 20, 12);
  top->addLayout(titles, 1);
  top->addWidget(fresh_);

  auto* composer = new QFrame;
  composer->setObjectName("composer");
  edit_ = new QPlainTextEdit;
  edit_->setObjectName("edit");
  edit_->setPlaceholderText("Ask something. Enter sends, Shift+Enter begins a new line.");
  edit_->setFixedHeight(64);
  edit_->installEventFilter(this);
  send_ = new QPushButton("Send");
  send_->setObjectName("send");
  stop_ = new QPushButton("■  Stop");
  stop_->setObjectName("stop");
  auto* below = new QHBoxLayout(composer);
  below->setContentsMargins(14, 10, 12, 10);
  below->addWidget(edit_, 1);
  below->addWidget(send_, 0, Qt::AlignBottom);
  below->addWidget(stop_, 0, Qt::AlignBottom);

  auto* right = new QVBoxLayout;
  right->setSpacing(0);
  right->addWidget(header);
  right->addWidget(view_, 1);
  auto* margin = new QVBoxLayout;
  margin->setContentsMargins(24, 6, 24, 20);
  margin->addWidget(composer);
  right->addLayout(margin);
  auto* all = new QHBoxLayout(this);
  all->setContentsMargins(0, 0, 0, 0);
  all->setSpacing(0);
  all->addWidget(panel_);
  all->addLayout(right, 1);
}

void ChatWindow::listen() {
  connect(panel_, &ModelPanel::theme_asked, this, &ChatWindow::set_dark);
  connect(panel_, &ModelPanel::open_asked, this, [this](const QString& path, int context) {
    engine_->stop();
    ready_ = false;
    name_->setText(QFileInfo(path).completeBaseName());
    status_->setText("Opening…");
    panel_->show_progress(0);
    update_buttons();
    engine_->open(path, context);
  });
  connect(send_, &QPushButton::clicked, this, &ChatWindow::send);
  connect(stop_, &QPushButton::clicked, this, [this] { engine_->stop(); });
  connect(fresh_, &QPushButton::clicked, this, [this] {
    if (!answering_) start_again();
  });
  connect(edit_, &QPlainTextEdit::textChanged, this, &ChatWindow::update_buttons);

  ChatEngine* engine = engine_.get();
  connect(engine, &ChatEngine::opening, this, [this](int percent) {
    panel_->show_progress(percent);
    status_->setText(QString("Opening… %1 %").arg(percent));
  });
  connect(engine, &ChatEngine::opened, this, [this](const QString& description, bool chats) {
    ready_ = chats;
    panel_->show_progress(-1);
    panel_->show_opened(panel_->path());
    status_->setText(chats ? description + " · ready"
                           : description + " · has no chat template, so it cannot chat");
    start_again();
    edit_->setFocus();
  });
  connect(engine, &ChatEngine::open_failed, this, [this](const QString& text, const QString& hint) {
    panel_->show_progress(-1);
    status_->setText(text);
    status_->setToolTip(hint);
    update_buttons();
  });
  connect(engine, &ChatEngine::piece, this, [this](const QString& text) {
    answer_ += text.toStdString();
    ++pieces_;
    view_->append(text);
    emit state_changed();
  });
  connect(engine, &ChatEngine::thought, this, [this] { status_->setText("Thinking…"); });
  connect(engine, &ChatEngine::answered, this, [this](const nibble::Result& r) {
    QString note =
        r.generate_seconds > 0
            ? QString("%1 tokens · %2 tokens/s")
                  .arg(r.n_generated)
                  .arg(static_cast<double>(r.n_generated) / r.generate_seconds, 0, 'f', 0)
            : QString();
    if (r.finish == NIBBLE_FINISH_CANCELLED) note += note.isEmpty() ? "stopped" : " · stopped";
    if (r.finish == NIBBLE_FINISH_LENGTH) note += " · cut at its longest";
    if (r.dropped_messages > 0) {
      note += QString(" · %1 old messages left out").arg(r.dropped_messages);
    }
    end(note);
  });
  connect(engine, &ChatEngine::answer_failed, this,
          [this](const QString& text, const QString& hint) { end(text + " " + hint); });
}

void ChatWindow::open(const QString& path) {
  panel_->select(path);
  emit panel_->open_asked(panel_->path(), panel_->context_size());
}

void ChatWindow::set_dark(bool dark) {
  const Theme& theme = dark ? Theme::dark_one() : Theme::light();
  theme.apply(*qApp);
  panel_->set_theme(theme);
}

void ChatWindow::start_again() {
  messages_.clear();
  if (ready_) {
    view_->clear("What would you like to know?", "Everything stays on this computer.");
  } else {
    view_->clear("Pick a model", "It runs in this window's process: no server, no network.");
  }
  update_buttons();
}

void ChatWindow::send() {
  const QString text = edit_->toPlainText().trimmed();
  if (text.isEmpty() || !ready_ || answering_) return;
  edit_->clear();
  messages_.push_back({"user", text.toStdString()});
  answer_.clear();
  pieces_ = 0;
  answering_ = true;
  view_->add_question(text);
  view_->begin_answer();
  update_buttons();
  engine_->ask(messages_, options_);
}

void ChatWindow::end(const QString& note) {
  answering_ = false;
  if (!answer_.empty()) {
    messages_.push_back({"assistant", answer_});
  } else {
    messages_.pop_back();
  }
  view_->end_answer(note);
  update_buttons();
}

void ChatWindow::update_buttons() {
  send_->setVisible(!answering_);
  stop_->setVisible(answering_);
  send_->setEnabled(ready_ && !edit_->toPlainText().trimmed().isEmpty());
  fresh_->setEnabled(!answering_ && !messages_.empty());
  emit state_changed();
}

bool ChatWindow::eventFilter(QObject* watched, QEvent* event) {
  if (watched == edit_ && event->type() == QEvent::KeyPress) {
    const auto* key = static_cast<QKeyEvent*>(event);
    if ((key->key() == Qt::Key_Return || key->key() == Qt::Key_Enter) &&
        !(key->modifiers() & Qt::ShiftModifier)) {
      send();
      return true;
    }
  }
  return QWidget::eventFilter(watched, event);
}

// Whatever runs is stopped and waited for, which takes less than anybody notices.
void ChatWindow::closeEvent(QCloseEvent* event) {
  engine_.reset();
  event->accept();
}
