// A desktop app that talks with a model in its own process.
//
//   cmake -S examples/qt_chat -B build && cmake --build build
//   build/nibble-qt-chat [MODEL.gguf]
#include <QApplication>
#include <QCommandLineParser>
#include <QDir>

#include "chat_window.h"

int main(int argc, char** argv) {
  QApplication app(argc, argv);
  QApplication::setApplicationName("nibble-qt-chat");
  QApplication::setApplicationVersion(nibble::version());
  QCommandLineParser parser;
  parser.setApplicationDescription("Talk with a model on this computer.");
  parser.addHelpOption();
  parser.addVersionOption();
  parser.addPositionalArgument("model", "a model file to open", "[MODEL.gguf]");
  const QCommandLineOption dark("dark", "begin with dark colours");
  const QCommandLineOption models("models", "folder of the models that are shown", "FOLDER",
                                  QDir::homePath() + "/.cache/nibble/models");
  parser.addOptions({dark, models});
  parser.process(app);

  ChatWindow window({{"temp", "0.7"}, {"predict", "1024"}});
  if (parser.isSet(dark)) window.set_dark(true);
  window.add_models(parser.value(models));
  if (!parser.positionalArguments().isEmpty()) window.open(parser.positionalArguments().first());
  window.show();
  return QApplication::exec();
}
