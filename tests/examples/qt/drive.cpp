// Drives the Qt app as a person would: picks a model, asks, watches the answer, stops it, switches
// to dark, closes the window in the middle of a reply. usage: drive MODEL SCREENSHOT_FOLDER
#include <QElapsedTimer>
#include <QListWidget>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QtTest/QTest>
#include <cstdio>
#include <cstdlib>

#include "examples/qt_chat/chat_window.h"

namespace {

constexpr int kPatience = 120000;  // ms; other work may be on the machine

void expect(bool holds, const char* what) {
  if (holds) return;
  std::printf("FAILED: %s\n", what);
  std::exit(1);
}

template <class T>
T* child(ChatWindow& window, const char* name) {
  auto* found = window.findChild<T*>(name);
  expect(found != nullptr, name);
  return found;
}

QPushButton* button(ChatWindow& window, const QString& text) {
  for (auto* b : window.findChildren<QPushButton*>()) {
    if (b->text().contains(text)) return b;
  }
  expect(false, qPrintable("button " + text));
  return nullptr;
}

void ask(ChatWindow& window, const char* question) {
  auto* edit = child<QPlainTextEdit>(window, "edit");
  QTest::keyClicks(edit, question);
  QTest::mouseClick(button(window, "Send"), Qt::LeftButton);
  expect(window.answering(), "it answers");
}

void shoot(ChatWindow& window, const QString& path) {
  QTest::qWait(100);
  expect(window.grab().save(path), "the picture is written");
}

}  // namespace

int main(int argc, char** argv) {
  QApplication app(argc, argv);
  const QString model = argv[1], pictures = argc > 2 ? argv[2] : ".";
  auto window = std::make_unique<ChatWindow>(nibble::Options{{"temp", "0"}, {"predict", "400"}});
  window->add_models(QFileInfo(model).absolutePath());
  window->show();
  expect(QTest::qWaitForWindowExposed(window.get()), "the window is shown");
  expect(!button(*window, "Send")->isEnabled(), "nothing can be sent without a model");
  shoot(*window, pictures + "/pick.png");

  auto* list = child<QListWidget>(*window, "models");
  for (int i = 0; i < list->count(); ++i) {
    if (list->item(i)->data(Qt::UserRole).toString() == model) list->setCurrentRow(i);
  }
  QTest::mouseClick(button(*window, "Open model"), Qt::LeftButton);
  expect(QTest::qWaitFor([&] { return window->ready(); }, kPatience), "the model opens");

  ask(*window, "Give me three tips for better sleep.");
  expect(QTest::qWaitFor([&] { return !window->answering(); }, kPatience), "it ends its answer");
  expect(window->pieces() > 10, "the answer came piece by piece");
  ask(*window, "Explain what a library is to a child.");
  expect(QTest::qWaitFor([&] { return window->pieces() > 90; }, kPatience), "a second answer");
  shoot(*window, pictures + "/light.png");
  QTest::mouseClick(button(*window, "Stop"), Qt::LeftButton);
  expect(QTest::qWaitFor([&] { return !window->answering(); }, kPatience), "Stop stops");

  QTest::mouseClick(button(*window, "Dark"), Qt::LeftButton);
  shoot(*window, pictures + "/dark.png");

  // Closed in the middle of a reply, and in the middle of a long prompt.
  for (const bool in_prompt : {false, true}) {
    if (in_prompt) {
      window = std::make_unique<ChatWindow>(nibble::Options{{"temp", "0"}});
      window->show();
      window->open(model);
      expect(QTest::qWaitFor([&] { return window->ready(); }, kPatience), "it opens again");
      auto* edit = child<QPlainTextEdit>(*window, "edit");
      edit->setPlainText(QString("The quick brown fox jumps over the lazy dog. ").repeated(250));
      QTest::mouseClick(button(*window, "Send"), Qt::LeftButton);
      QTest::qWait(200);
      expect(window->pieces() == 0, "it is in its prompt");
    } else {
      ask(*window, "Tell me a long story about the sea.");
      expect(QTest::qWaitFor([&] { return window->pieces() > 5; }, kPatience), "a third answer");
    }
    expect(window->answering(), "it answers");
    QElapsedTimer clock;
    clock.start();
    window->close();
    window.reset();
    std::printf("closed in the middle of %s: %.1f ms\n", in_prompt ? "a prompt" : "a reply",
                static_cast<double>(clock.nsecsElapsed()) / 1e6);
  }
  return 0;
}
